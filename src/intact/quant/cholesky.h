// cholesky.h: A = L L^T of a symmetric positive definite matrix, in double.
//
// Blocked, row-major, the same bits for any number of threads: every element is one chain of
// subtractions over ascending k, in blocks of four.
#pragma once

#include <cstddef>
#include <span>

#include "base/thread_pool.h"
#include "intact/result.h"

namespace intact {

// Overwrites the lower triangle of a: [n, n] with L; the upper one is left undefined. Cost: n^3 / 6
// multiply-adds. Errors: kInvalidArgument when a pivot is not positive and finite.
Status cholesky(std::span<double> a, std::size_t n, ThreadPool* pool = nullptr);

// c[j] += sum_{r < rows} factor[r] m[r * stride + j] for j < n: the one inner loop of this folder's
// linear algebra.
void add_rows(double* c, const double* factor, const double* m, std::size_t rows,
              std::size_t stride, std::size_t n) noexcept;

// Runs task(i) for i < count on the pool, or here when there is none.
template <class Task>
void run_tasks(ThreadPool* pool, std::size_t count, const Task& task) {
  if (pool != nullptr && count > 1) {
    pool->run(count, task);
  } else {
    for (std::size_t i = 0; i < count; ++i) task(i);
  }
}

}  // namespace intact
