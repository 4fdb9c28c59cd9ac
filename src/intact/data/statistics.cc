// Intervals and paired comparisons of metrics (declared in metrics.h).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/metric_parts.h"

namespace intact {
namespace {

constexpr double kZ = 1.959963984540054;  // The normal distribution's 97.5 % point.

// SplitMix64 (Steele, Lea and Flood 2014): small, and easy to repeat in another language.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // Uniform in [0, n), n < 2^32.
  std::int64_t below(std::int64_t n) {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return static_cast<std::int64_t>((z >> 32) * static_cast<std::uint64_t>(n) >> 32);
  }

 private:
  std::uint64_t state_;
};

// The q quantile of sorted values, linear between neighbours.
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// The middle 95 % of f over resampled samples.
template <class F>
Interval bootstrap(std::int64_t n, std::uint64_t seed, int resamples, F f) {
  if (n == 0) return {kNoScore, kNoScore};
  Random random(seed);
  std::vector<std::int64_t> which(static_cast<std::size_t>(n));
  std::vector<double> values;
  for (int r = 0; r < resamples; ++r) {
    for (std::int64_t& i : which) i = random.below(n);
    const double value = f(which);
    if (!std::isnan(value)) values.push_back(value);
  }
  if (values.empty()) return {kNoScore, kNoScore};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

}  // namespace

Interval wilson_interval(std::int64_t successes, std::int64_t n) {
  if (n <= 0) return {0, 1};
  const auto count = static_cast<double>(n);
  const double p = static_cast<double>(successes) / count;
  const double z2 = kZ * kZ / count;
  const double center = (p + z2 / 2) / (1 + z2);
  const double half = kZ * std::sqrt(p * (1 - p) / count + z2 / (4 * count)) / (1 + z2);
  return {successes == 0 ? 0 : center - half, successes == n ? 1 : center + half};
}

double mcnemar_exact(std::int64_t only_a, std::int64_t only_b) {
  const std::int64_t n = only_a + only_b;
  const std::int64_t k = std::min(only_a, only_b);
  // Twice P(X <= k) for X binomial with n fair coins, summed from logarithms.
  const auto log_factorial = [](std::int64_t m) { return std::lgamma(static_cast<double>(m) + 1); };
  double sum = 0;
  for (std::int64_t i = 0; i <= k; ++i)
    sum += std::exp(log_factorial(n) - log_factorial(i) - log_factorial(n - i) -
                    static_cast<double>(n) * std::log(2.0));
  return std::min(1.0, 2 * sum);
}

Interval interval_of(const Metric& metric, std::uint64_t seed, int resamples) {
  const std::int64_t n = metric.count();
  if (metric.info().score_is_binary) {
    std::int64_t right = 0;
    for (std::int64_t i = 0; i < n; ++i) right += metric.score(i) > 50 ? 1 : 0;
    const Interval share = wilson_interval(right, n);
    return {100 * share.lo, 100 * share.hi};
  }
  return bootstrap(n, seed, resamples, [&](const auto& which) { return metric.value_of(which); });
}

Result<PairedDifference> paired_difference(const Metric& a, const Metric& b, std::uint64_t seed,
                                           int resamples) {
  if (a.info().name != b.info().name || a.count() != b.count())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} over {} samples and {} over {} cannot be paired", a.info().name,
                            a.count(), b.info().name, b.count()));
  PairedDifference d;
  d.count = a.count();
  d.value_a = a.value();
  d.value_b = b.value();
  d.difference = d.value_b - d.value_a;
  const double sign = a.info().higher_is_better ? 1 : -1;
  std::vector<double> gain(static_cast<std::size_t>(d.count));
  for (std::int64_t i = 0; i < d.count; ++i) {
    double& g = gain[static_cast<std::size_t>(i)];
    g = sign * (b.score(i) - a.score(i));
    if (g < 0) d.worse.push_back(i);
    if (g > 0) d.better.push_back(i);
  }
  const auto by_size = [&](std::int64_t i, std::int64_t j) {
    return std::abs(gain[static_cast<std::size_t>(i)]) >
           std::abs(gain[static_cast<std::size_t>(j)]);
  };
  std::stable_sort(d.worse.begin(), d.worse.end(), by_size);
  std::stable_sort(d.better.begin(), d.better.end(), by_size);

  if (a.info().score_is_binary && b.info().score_is_binary) {
    // With p = (losses + 1) / (n + 2) and q = (gains + 1) / (n + 2):
    //   q - p -+ z sqrt((p + q - (q - p)^2) / (n + 2))
    const auto losses = static_cast<std::int64_t>(d.worse.size());
    const auto gains = static_cast<std::int64_t>(d.better.size());
    const double n2 = static_cast<double>(d.count) + 2;
    const double p = static_cast<double>(losses + 1) / n2;
    const double q = static_cast<double>(gains + 1) / n2;
    const double half = kZ * std::sqrt((p + q - (q - p) * (q - p)) / n2);
    d.interval = {100 * std::max(-1.0, q - p - half), 100 * std::min(1.0, q - p + half)};
    if (sign < 0) d.interval = {-d.interval.hi, -d.interval.lo};
    d.p_value = mcnemar_exact(losses, gains);
    d.method = "Bonett-Price";
    return d;
  }
  d.interval = bootstrap(d.count, seed, resamples,
                         [&](const auto& which) { return b.value_of(which) - a.value_of(which); });
  d.p_value = kNoScore;
  d.method = fmt::format("paired bootstrap, {} resamples", resamples);
  return d;
}

}  // namespace intact
