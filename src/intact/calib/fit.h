// fit.h: the best int8 weights of one product for the inputs that it will really get.
//
// Given rows x of the float network and x^ of the quantized one, both centred by their means where
// the node has a bias to carry them, and H = sum x^ x^^T, C = sum x x^^T:
//
//   targets      W itself, and T = W (C + l I)(H + l I)^-1, which absorbs what the layers before
//                did wrong (quant/rounding.h (18), ridge 0.02)
//   roundings    to nearest, and with error feedback (quant/rounding.h (17))
//   the winner   least |x M^T - x^ Q^T|^2 on rows of samples that decided nothing
//   bias         b + M mean(x) - Q mean(x^) (quant/correct.h (15))
//
// More than kMaxBlock taps are treated in equal blocks whose cross terms are ignored.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "calib/matrix.h"
#include "quant/weights.h"

namespace intact {

inline constexpr std::size_t kMaxBlock = 1024;

struct FitInput {
  std::size_t groups = 1, rows = 1, taps = 1;  // Of M; rows of one group.
  std::size_t share = 1;                       // Consecutive rows with one scale.
  bool has_bias = true;
  std::span<const float> weights;        // M: [groups, rows, taps]
  std::span<const double> least_scales;  // By channel, or empty.
  WeightOptions options;
  bool one_scale = false;  // As in decide_plainly.
  // Gathered rows, [*, groups * taps]: of the samples that decide, and of those that judge.
  std::vector<float> x, x_hat, x_judge, x_hat_judge;
};

struct Fit {
  std::vector<std::int8_t> codes;   // [groups, rows, taps]
  std::vector<float> scales;        // By channel: groups * rows / share.
  std::vector<double> bias_change;  // By channel; empty without bias.
  std::string how;
  double error = 0;          // Relative squared error on the judging rows.
  double rounded_error = 0;  // Of "w/rne".
};

// The rows of `in` are centred in place. Errors: kInvalidArgument for values that are not finite.
Result<Fit> fit_product(FitInput& in, MatrixEngine& engine, ThreadPool& pool);

// sum |x M^T - x_hat Q^T|^2 over all rows, and sum |x M^T|^2, all groups together.
struct RowError {
  double noise = 0;
  double signal = 0;
};
Result<RowError> row_error(std::span<const float> x, std::span<const float> m,
                           std::span<const float> x_hat, std::span<const float> q,
                           std::size_t groups, std::size_t rows, std::size_t taps,
                           MatrixEngine& engine, ThreadPool& pool);

}  // namespace intact
