// guarded_memory.h: for tests: memory that ends where touching more is a fault.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

namespace intact {

// `count` elements whose end (after `slack_bytes`) touches a page that cannot be read or written.
// `align` bounds the gap: the data starts at a multiple of it, so up to align - 1 bytes more can
// be touched unnoticed; 1 leaves none. Everything is filled with `fill` first, slack included.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t count, std::size_t slack_bytes = 0, std::size_t align = alignof(T),
                   unsigned char fill = 0xA5)
      : count_(static_cast<std::size_t>(count)) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count_ * sizeof(T) + slack_bytes;
    size_ = (bytes + align + page - 1) / page * page + page;
    void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("mmap failed");
    base_ = static_cast<unsigned char*>(p);
    std::memset(base_, fill, size_ - page);
    if (mprotect(base_ + size_ - page, page, PROT_NONE) != 0)
      throw std::runtime_error("mprotect failed");
    const std::size_t at = (size_ - page - bytes) / align * align;
    data_ = reinterpret_cast<T*>(base_ + at);
  }
  ~Guarded() { munmap(base_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  T& operator[](std::int64_t i) noexcept { return data_[i]; }
  const T& operator[](std::int64_t i) const noexcept { return data_[i]; }
  [[nodiscard]] std::span<T> span() noexcept { return {data_, count_}; }

 private:
  std::size_t count_;
  std::size_t size_ = 0;
  unsigned char* base_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace intact
