#include "base/page_vector.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "base/buffer.h"

namespace intact {
namespace {

constexpr std::size_t kLargeBytes = std::size_t{128} << 10;  // Smaller blocks are the heap's.
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMostPage = std::size_t{64} << 10;  // Of the systems that there are.

std::size_t mapped_bytes(std::size_t bytes) {
  return (bytes + kMostPage - 1) / kMostPage * kMostPage;
}

}  // namespace

void* take_pages(std::size_t bytes, Touch touch) {
  if (bytes < kLargeBytes)
    return std::memset(::operator new (bytes, std::align_val_t{kAlignBytes}), 0, bytes);
  const std::size_t size = mapped_bytes(bytes);
  const std::size_t spare = bytes < kHugePage ? 0 : kHugePage;
  void* const mapped =
      mmap(nullptr, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* memory = static_cast<std::byte*>(mapped);
  if (spare > 0) {  // It begins on a large page, to consist of them where the system has some.
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(memory) % kHugePage;
    if (before > 0) munmap(memory, before);
    memory += before;
    munmap(memory + size, spare - before);
  }
  // Hints, both of which may fail. Pages that come together cost less than one by one.
#ifdef MADV_HUGEPAGE
  if (spare > 0) madvise(memory, size, MADV_HUGEPAGE);
#endif
#ifdef MADV_POPULATE_WRITE
  if (touch == Touch::kNow) madvise(memory, bytes, MADV_POPULATE_WRITE);
#endif
  return memory;
}

void give_pages(void* memory, std::size_t bytes) noexcept {
  if (bytes < kLargeBytes)
    ::operator delete (memory, std::align_val_t{kAlignBytes});
  else
    munmap(memory, mapped_bytes(bytes));
}

}  // namespace intact
