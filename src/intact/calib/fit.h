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

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/page_vector.h"
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
  void add(std::span<float> x, std::span<float> x_hat, ThreadPool& pool);

  struct Block {
    std::size_t group, begin, width;
  };
  [[nodiscard]] const std::vector<Block>& blocks() const noexcept { return blocks_; }
  [[nodiscard]] bool parallel() const noexcept;  // Many small blocks: one task each.

  // Means of all rows, [groups * taps]; zeros when not centred.
  [[nodiscard]] std::vector<double> mean() const { return mean_of(shift_, sum_); }
  [[nodiscard]] std::vector<double> mean_hat() const { return mean_of(shift_hat_, sum_hat_); }
  // H and C of block b around the means, [width, width].
  [[nodiscard]] PageVector<double> second(std::size_t b) const;
  [[nodiscard]] PageVector<double> cross(std::size_t b) const;
  [[nodiscard]] bool empty() const noexcept { return rows_ == 0; }

 private:
  [[nodiscard]] std::vector<double> mean_of(const std::vector<double>& shift,
                                            const std::vector<double>& sum) const;
  void subtract_means(std::span<double> moment, std::size_t b, const std::vector<double>& left,
                      bool upper) const;

  std::size_t pitch_, taps_;
  bool centred_;
  std::size_t rows_ = 0;
  std::vector<Block> blocks_;
  std::vector<double> shift_, shift_hat_;  // Subtracted from every row.
  std::vector<double> sum_, sum_hat_;      // Of shifted rows.
  // By block, of shifted rows; of the second moments the upper triangle.
  std::vector<PageVector<double>> second_, cross_;
  PageVector<float> rooms_;  // Work memory of add().
};

// Rows of samples that judge, in batches: calls the visitor with rows of both networks, which it
// may change.
using RowVisitor = std::function<void(std::span<float> x, std::span<float> x_hat)>;
using RowBatches = std::function<Status(const RowVisitor&)>;

struct FitInput {
  std::size_t groups = 1, rows = 1, taps = 1;  // Of M; rows of one group.
  std::size_t share = 1;                       // Consecutive rows with one scale.
  bool has_bias = true;
  std::span<const float> weights;        // M: [groups, rows, taps]
  std::span<const double> least_scales;  // By channel, or empty.
  WeightOptions options;
  bool one_scale = false;               // As in decide_plainly.
  const FitMoments* moments = nullptr;  // Of the samples that decide.
  RowBatches judge;                     // Those that judge.
};

struct Fit {
  std::vector<std::int8_t> codes;   // [groups, rows, taps]
  std::vector<float> scales;        // By channel: groups * rows / share.
  std::vector<double> bias_change;  // By channel; empty without bias.
  std::string how;
  double error = 0;          // Relative squared error on the judging rows.
  double rounded_error = 0;  // Of "w/rne".
};

// Errors: kInvalidArgument for values that are not finite; those of reading rows.
Result<Fit> fit_product(const FitInput& in, ThreadPool& pool);

// Measures |x M^T - x_hat Q^T|^2 of several candidates Q over batches of rows, all groups together;
// a few rows at a time, so that it needs no memory for them.
class RowErrors {
 public:
  // Where a candidate's rows [first, first + count) are; `room` is for rows made on demand.
  using Rows =
      std::function<const float*(std::size_t first, std::size_t count, std::vector<float>& room)>;

  RowErrors(std::span<const float> m, std::size_t groups, std::size_t rows, std::size_t taps,
            ThreadPool& pool);

  // Adds a candidate: [groups, rows, taps].
  void add_candidate(std::span<const float> q);
  // Starts a batch of rows of the float network: computes x M^T.
  void start(std::span<const float> x);
  // Adds what candidate c makes of the batch.
  void add(std::size_t c, const Rows& x_hat);
  // Its squared error, relative to sum |x M^T|^2.
  [[nodiscard]] double error(std::size_t c) const;

 private:
  struct Weights {                    // One of the two.
    std::vector<FloatMatrix> packed;  // By group.
    PageVector<float> plain;          // [groups, rows, taps]
  };
  [[nodiscard]] Weights pack(std::span<const float> m) const;
  void multiply(const Weights& w, const float* x, std::size_t count, float* y) const;
  // The sum over the batch of what `part` returns for rows [first, first + count).
  double sum(const std::function<double(std::size_t first, std::size_t count)>& part) const;

  std::size_t groups_, rows_, taps_;
  ThreadPool& pool_;
  Weights weights_;
  std::vector<Weights> candidates_;
  std::size_t batch_ = 0;
  PageVector<float> y_;  // [batch, groups * rows]
  double signal_ = 0;
  std::vector<double> noise_;
};

}  // namespace intact
