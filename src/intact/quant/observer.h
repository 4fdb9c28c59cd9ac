// observer.h: what calibration keeps of a tensor: constant memory, one pass, any order.
//
// A TensorObserver sees the values of a tensor, sample after sample, and holds TensorStats. From
// these every range method of range.h follows, so that changing the method never runs the model
// again. Stats of disjoint sets of samples merge exactly: merge(a, b) has the bytes that observing
// all samples at once gives, in any order. The one exception is moving (see below).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "intact/result.h"
#include "quant/exact_sum.h"
#include "quant/histogram.h"
#include "quant/scheme.h"

namespace intact {

// m <- beta m + (1 - beta) x over each sample's min and max, in sample order; the first sample sets
// m. Depends on the order, therefore two of them cannot merge.
struct MovingAverage {
  double beta = 0.99;
  double min = 0.0;
  double max = 0.0;
  friend bool operator==(const MovingAverage&, const MovingAverage&) = default;
};

struct TensorStats {
  std::uint64_t samples = 0;  // Samples in which the tensor had at least one element.
  float min = 0.0f;           // Of all values; never -0.
  float max = 0.0f;
  ExactSum sum_min;  // Over samples, of each sample's min and max.
  ExactSum sum_max;
  std::optional<MovingAverage> moving;
  Histogram histogram;

  // Adds the stats of other samples. Errors: kInvalidArgument when either holds a moving average.
  Status merge(const TensorStats& other);
  friend bool operator==(const TensorStats&, const TensorStats&) = default;
};

class TensorObserver {
 public:
  // `moving_beta` in [0, 1): also keep the moving average. Without a histogram, which costs most of
  // the time, its methods (percentile, kl, mse) find it empty.
  explicit TensorObserver(std::optional<double> moving_beta = std::nullopt, bool histogram = true);

  // Adds values of the current sample; may be called several times a sample (pieces, loops).
  // Errors: kDataMismatch "NaN or infinity" when a value is not finite; the caller adds the tensor
  // and the sample, and drops this observer. `pool` may be null.
  Status observe(std::span<const float> x, ThreadPool* pool = nullptr);

  // Ends the current sample. A sample without values is not counted.
  void end_sample();

  // The stats of all ended samples. Requires that end_sample followed the last observe.
  [[nodiscard]] const TensorStats& stats() const;

 private:
  TensorStats stats_;
  bool histogram_;
  bool open_ = false;  // The current sample has values.
  float sample_min_ = 0.0f;
  float sample_max_ = 0.0f;
};

}  // namespace intact
