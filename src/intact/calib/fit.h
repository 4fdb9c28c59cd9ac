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

// The sums over deciding rows that a fit needs; rows come in batches and are not kept. Values are
// taken relative to the first batch's means, so that large means cost no precision.
class FitMoments {
 public:
  FitMoments(std::size_t groups, std::size_t taps, bool centred);

  // Adds rows [*, groups * taps] of both networks; changes them in place.
  Status add(std::vector<float>& x, std::vector<float>& x_hat, MatrixEngine& engine,
             ThreadPool& pool);

  struct Block {
    std::size_t group, begin, width;
  };
  [[nodiscard]] const std::vector<Block>& blocks() const noexcept { return blocks_; }
  [[nodiscard]] bool parallel() const noexcept;  // Many small blocks: one task each.

  // Means of all rows, [groups * taps]; zeros when not centred.
  [[nodiscard]] std::vector<double> mean() const { return mean_of(shift_, sum_); }
  [[nodiscard]] std::vector<double> mean_hat() const { return mean_of(shift_hat_, sum_hat_); }
  // H and C of block b around the means, [width, width].
  [[nodiscard]] std::vector<double> second(std::size_t b) const;
  [[nodiscard]] std::vector<double> cross(std::size_t b) const;
  [[nodiscard]] bool empty() const noexcept { return rows_ == 0; }

 private:
  [[nodiscard]] std::vector<double> mean_of(const std::vector<double>& shift,
                                            const std::vector<double>& sum) const;
  [[nodiscard]] std::vector<double> around_means(const std::vector<double>& moment, std::size_t b,
                                                 const std::vector<double>& left) const;

  std::size_t pitch_, taps_;
  bool centred_;
  std::size_t rows_ = 0;
  std::vector<Block> blocks_;
  std::vector<double> shift_, shift_hat_;            // Subtracted from every row.
  std::vector<double> sum_, sum_hat_;                // Of shifted rows.
  std::vector<std::vector<double>> second_, cross_;  // By block, of shifted rows.
};

struct FitInput {
  std::size_t groups = 1, rows = 1, taps = 1;  // Of M; rows of one group.
  std::size_t share = 1;                       // Consecutive rows with one scale.
  bool has_bias = true;
  std::span<const float> weights;        // M: [groups, rows, taps]
  std::span<const double> least_scales;  // By channel, or empty.
  WeightOptions options;
  bool one_scale = false;                   // As in decide_plainly.
  const FitMoments* moments = nullptr;      // Of the samples that decide.
  std::vector<float> x_judge, x_hat_judge;  // Gathered rows of those that judge.
};

struct Fit {
  std::vector<std::int8_t> codes;   // [groups, rows, taps]
  std::vector<float> scales;        // By channel: groups * rows / share.
  std::vector<double> bias_change;  // By channel; empty without bias.
  std::string how;
  double error = 0;          // Relative squared error on the judging rows.
  double rounded_error = 0;  // Of "w/rne".
};

// The judging rows of `in` are centred in place. Errors: kInvalidArgument for values that are not
// finite.
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
