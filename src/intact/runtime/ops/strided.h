// strided.h: copies between strided views: what every movement of data comes down to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace intact {

// out[sum_d i_d out_stride_d] = in[sum_d i_d in_stride_d] for all i_d in [0, size_d).
// Strides and offsets are in elements; in strides may be zero or negative. The output elements
// must be distinct.
class StridedCopy {
 public:
  StridedCopy(std::vector<std::int64_t> sizes, std::vector<std::int64_t> in_strides,
              std::vector<std::int64_t> out_strides, std::size_t element_bytes,
              std::int64_t in_offset = 0, std::int64_t out_offset = 0);

  void run(const std::byte* in, std::byte* out, ThreadPool& pool) const;

 private:
  struct Axis {
    std::int64_t size;
    std::int64_t in;
    std::int64_t out;
  };
  template <class T>
  void run_typed(const T* in, T* out, ThreadPool& pool) const;
  template <class T>
  void copy_rows(const T* from, T* to, std::int64_t rows) const;

  std::vector<Axis> axes_;  // Longest output stride first; merged where both sides allow.
  std::size_t element_bytes_;
  std::int64_t in_offset_;
  std::int64_t out_offset_;
  bool empty_ = false;
};

}  // namespace intact
