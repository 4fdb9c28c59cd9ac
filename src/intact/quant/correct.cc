#include "quant/correct.h"

#include "base/check.h"

namespace intact {

std::vector<double> bias_correction(std::span<const float> w, std::span<const float> w_hat,
                                    const WeightMatrix& shape, std::span<const double> mean,
                                    std::span<const double> mean_hat) {
  const std::size_t outputs = shape.groups * shape.rows;
  INTACT_CHECK(shape.spatial > 0 && shape.taps % shape.spatial == 0,
               "{} taps are not whole channels of {}", shape.taps, shape.spatial);
  INTACT_CHECK(w.size() == outputs * shape.taps && w_hat.size() == w.size(),
               "{} and {} weights where {} are needed", w.size(), w_hat.size(),
               outputs * shape.taps);
  const bool by_tap = mean.size() == shape.groups * shape.taps;
  const std::size_t spatial = by_tap ? 1 : shape.spatial;
  const std::size_t inputs = shape.taps / spatial;  // Means that one output reads.
  INTACT_CHECK(mean.size() == shape.groups * inputs && mean_hat.size() == mean.size(),
               "{} and {} means for {} input channels", mean.size(), mean_hat.size(),
               shape.groups * inputs);
  std::vector<double> change(outputs);
  for (std::size_t n = 0; n < outputs; ++n) {
    const std::size_t first = n / shape.rows * inputs;
    double sum = 0.0;
    for (std::size_t k = 0; k < shape.taps; ++k) {
      const std::size_t at = n * shape.taps + k;
      sum += static_cast<double>(w[at]) * mean[first + k / spatial] -
             static_cast<double>(w_hat[at]) * mean_hat[first + k / spatial];
    }
    change[n] = sum;
  }
  return change;
}

}  // namespace intact
