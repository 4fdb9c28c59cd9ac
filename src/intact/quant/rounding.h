// rounding.h: weight codes that minimise the error of the layer's output, not of the weights.
//
// For one output channel with float weights w, codes q and scale s, d = w - s q and inputs x:
//
//   E[(d . x)^2] = d^T H d,   H = E[x x^T]                                                     (16)
//
// Rounding to nearest minimises |d|^2 instead. Here H is damped and factored once for the layer,
// H + damping mean(diag H) I = R R^T with R upper triangular, so that (16) is |R^T d|^2, and R^T d
// is summed in order: code k sees only d_0 .. d_k. Each code then is the best given those before
// it:
//
//   q_k = clamp(rne((w_k + (1 / R_kk) sum_{j<k} R_jk d_j) / s))                                (17)
//
// which is Babai's nearest-plane point and equals GPTQ (Frantar, Ashkboos, Hoefler, Alistarh: GPTQ,
// ICLR 2023) without its inverse. Inputs of large energy go first (descending H_kk), so that the
// others can still answer for their errors. Cost: K^3 / 6 + N K^2 / 2 multiply-adds, in double;
// a channel's codes do not depend on the other channels nor on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/page_vector.h"
#include "base/thread_pool.h"
#include "intact/result.h"
#include "quant/affine.h"

namespace intact {

struct RoundingOptions {
  double damping = 0.01;  // > 0; in units of the mean of diag H.
  bool by_energy = true;  // Order inputs by descending H_kk; otherwise by index.
  CodeRange codes{-127, 127};
};

// Writes the codes (17).
//   w: [n, k] row-major   scales: [n], > 0   second_moment: H, [k, k], symmetric; any positive
//   multiple of E[x x^T] gives the same codes   codes: [n, k]
// Inputs that were always zero (H_kk = 0) are rounded to nearest. `pool` may be null.
// Errors: kInvalidArgument when H or w is not finite, or H is not positive semidefinite.
Status round_with_feedback(std::span<const double> w, std::span<const double> scales,
                           std::span<const double> second_moment, std::span<std::int8_t> codes,
                           const RoundingOptions& options = {}, ThreadPool* pool = nullptr);

// The same for several sets of weights of one layer, whose H is factored once.
class FeedbackRounding {
 public:
  static Result<FeedbackRounding> make(std::span<const double> second_moment, std::size_t k,
                                       const RoundingOptions& options = {},
                                       ThreadPool* pool = nullptr);
  Status round(std::span<const double> w, std::span<const double> scales,
               std::span<std::int8_t> codes, ThreadPool* pool = nullptr) const;

 private:
  std::size_t k_ = 0;
  CodeRange codes_;
  std::vector<std::size_t> order_;
  PageVector<double> factor_;
};

// Returns (16) of each channel: [n].   w, w_hat: [n, k]
std::vector<double> output_error(std::span<const double> w, std::span<const double> w_hat,
                                 std::span<const double> second_moment, std::size_t n);

// Returns float weights T [n, k] that undo, before rounding, what the layers before did to the
// input: the minimum of E|W x - T x^|^2 + ridge mean(diag H) |T - W|^2, which is
//
//   T = W (C + l I)(H + l I)^-1,   H = E[x^ x^^T],   C = E[x x^^T],   l = ridge mean(diag H) (18)
//
//   w: [n, k]   second_moment: H, [k, k]   cross_moment: C, [k, k], row of x, column of x^, on the
//   same multiple as H. Both moments are taken to work in. Errors: as round_with_feedback.
Result<PageVector<double>> refit_weights(std::span<const double> w,
                                         PageVector<double> second_moment,
                                         PageVector<double> cross_moment, double ridge,
                                         ThreadPool* pool = nullptr);

}  // namespace intact
