// strided.h: copies between strided views: what every movement of data comes down to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/thread_pool.h"

namespace intact {

// to[0 .. bytes) = from: what memcpy does, without a call for the few bytes of a pixel.
inline void copy_bytes(void* to, const void* from, std::size_t bytes) {
  auto* t = static_cast<std::byte*>(to);
  const auto* f = static_cast<const std::byte*>(from);
  if (bytes < 16 || bytes > 256) {
    std::memcpy(t, f, bytes);
    return;
  }
  for (std::size_t i = 0; i + 16 < bytes; i += 16) std::memcpy(t + i, f + i, 16);
  std::memcpy(t + bytes - 16, f + bytes - 16, 16);
}

// out[sum_d i_d out_stride_d] = in[sum_d i_d in_stride_d] for all i_d in [0, size_d).
// Strides and offsets are in elements; in strides may be zero or negative. The output elements
// must be distinct.
class StridedCopy {
 public:
  StridedCopy(std::vector<std::int64_t> sizes, std::vector<std::int64_t> in_strides,
              std::vector<std::int64_t> out_strides, std::size_t element_bytes,
              std::int64_t in_offset = 0, std::int64_t out_offset = 0);

  void run(const std::byte* in, std::byte* out) const;
  void run(const std::byte* in, std::byte* out, const ThreadPool& pool) const;

 private:
  struct Axis {
    std::int64_t size;
    std::int64_t in;
    std::int64_t out;
  };
  template <class T>
  void run_typed(const T* in, T* out, const ThreadPool& pool) const;
  template <class T>
  void copy_rows(const T* from, T* to, std::int64_t rows) const;

  std::vector<Axis> axes_;  // Longest output stride first; merged where both sides allow.
  std::size_t element_bytes_;
  std::int64_t in_offset_;
  std::int64_t out_offset_;
  bool empty_ = false;
};

}  // namespace intact
