// matrix.h: products of float matrices by the engine's float kernels: one fma chain over ascending
// k for each result, so the same bytes for any number of threads and on every ISA.
#pragma once

#include "base/page_vector.h"
#include "base/thread_pool.h"
#include "kernels/gemm_f32.h"

namespace intact {

// A right-hand side [k, n], packed once; its element (i, j) is from[i * k_stride + j * n_stride].
class FloatMatrix {
 public:
  FloatMatrix(const float* from, std::size_t k, std::size_t n, std::size_t k_stride,
              std::size_t n_stride, ThreadPool& pool);

  [[nodiscard]] std::size_t rows() const noexcept { return k_; }
  [[nodiscard]] std::size_t columns() const noexcept { return n_; }

  // c = a b for the columns from the panel of column `first` on, on this thread.
  //   a: [m, k], rows `pitch` apart   c: [m, n], rows `c_pitch` apart
  void multiply(const float* a, std::size_t pitch, std::size_t m, float* c, std::size_t c_pitch,
                std::size_t first = 0) const;

 private:
  const GemmF32Kernel& kernel_;
  std::size_t k_, n_;
  PageVector<float> packed_;
};

// Adds sums over rows of products of columns, in float; the results are added in double.
//   h[i, j] += sum_r y[r, i] y[r, j] for j >= i only       c[i, j] += sum_r x[r, i] y[r, j]
//   x, y: [rows, width], rows `pitch` apart                h, c: [width, width]
// `rooms` is the threads' work memory, the caller's to use again: what workers take for themselves
// would stay in heaps of theirs.
void add_moments(const float* x, const float* y, std::size_t rows, std::size_t pitch,
                 std::size_t width, double* h, double* c, PageVector<float>& rooms,
                 ThreadPool& pool);

}  // namespace intact
