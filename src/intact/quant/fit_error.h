// fit_error.h: how far a quantized layer is from the float one, on sampled rows.
//
//   signal = sum_r |W x_r|^2      error = sum_r |W x_r - W^ x^_r + t|^2 (20)
//
// x: what the float network feeds, x^: what the quantized one feeds, t: a change of the bias taken
// into account. Outputs are float32 chains over ascending inputs in fours, squares are summed in
// double over ascending outputs and rows: the same bytes for any number of threads and any vector
// width.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace intact {

struct FitError {
  double signal = 0.0;
  double error = 0.0;
  // Returns error / signal; 0 for nothing lost of nothing.
  [[nodiscard]] double relative() const noexcept;
};

// A layer's float outputs on its rows, kept so that many candidates can be judged against them.
class FitReference {
 public:
  // w: [n, k]   x: [rows, k]   `pool` may be null.
  FitReference(std::span<const float> w, std::span<const float> x, std::size_t k,
               ThreadPool* pool = nullptr);

  // Returns (20).   w_hat: [n, k]   x_hat: [rows, k]   bias_change (t): empty or [n]
  [[nodiscard]] FitError compare(std::span<const float> w_hat, std::span<const float> x_hat,
                                 std::span<const float> bias_change = {},
                                 ThreadPool* pool = nullptr) const;

  // The float outputs: [rows, n].
  [[nodiscard]] std::span<const float> outputs() const noexcept { return outputs_; }

 private:
  std::size_t k_;
  std::size_t n_;
  std::size_t rows_;
  std::vector<float> outputs_;
};

}  // namespace intact
