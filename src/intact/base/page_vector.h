// page_vector.h: work memory that goes back to the system when it is given back.
//
// A heap keeps what is freed, in holes that depend on the order of all calls before; glibc's, the
// more so the larger the blocks it has seen. The peak of a long calculation is then its own and
// what the heap happens to keep. Large blocks of these vectors are pages of their own instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace intact {

// Zeroed memory of at least that many bytes, aligned to kAlignBytes. The pages of a large block
// come at once or as they are touched. Throws std::bad_alloc.
enum class Touch : std::uint8_t { kNow, kLater };
[[nodiscard]] void* take_pages(std::size_t bytes, Touch touch = Touch::kNow);
// Gives it back; `bytes` as it was taken.
void give_pages(void* memory, std::size_t bytes) noexcept;

template <class T>
struct PageAllocator {
  using value_type = T;
  PageAllocator() = default;
  template <class U>
  PageAllocator(const PageAllocator<U>&) noexcept {}

  [[nodiscard]] T* allocate(std::size_t n) { return static_cast<T*>(take_pages(n * sizeof(T))); }
  void deallocate(T* memory, std::size_t n) noexcept { give_pages(memory, n * sizeof(T)); }
  template <class U>
  bool operator==(const PageAllocator<U>&) const noexcept {
    return true;
  }
};

template <class T>
using PageVector = std::vector<T, PageAllocator<T>>;

}  // namespace intact
