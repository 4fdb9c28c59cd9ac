// metrics.h: M, the figure that says whether a model is still good.
//
//   top1 top5      % of samples whose label is the arg-max / among the five largest outputs
//   accuracy       % of decisions that equal the target: arg-max or, for one output, x >= 0.5;
//                  with a text target, % of samples whose decoded text is equal
//   f1             % F1 of class 1 when no class above 1 occurs, else the mean of the classes' F1
//   agreement      % of positions with the arg-max of the reference model's output
//   sqnr           dB, 10 log10(sum ref^2 / sum (out - ref)^2), the worst output
//   cosine mse     mean over samples of the cosine / mean squared error to the reference
//   spearman pearson  % correlation of outputs and targets (100 is perfect)
//   wer cer        % word / character edits per word / character of the target text
//   FILE.py:NAME   score(outputs, target) of a sample, the mean over samples; outputs is a dict of
//                  arrays, target the label, text or array that the data has, a dict of several
//   map            % mean average precision over IoU 0.50:0.05:0.95 (data/detection.h)
//
// A metric keeps a few numbers a sample (they serve the paired interval), never a sample's outputs.
// `reference` means the outputs of the float model; where the data has numeric targets and there is
// no reference, sqnr, cosine and mse compare with the target.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "intact/result.h"

namespace intact {

struct MetricInfo {
  std::string name;              // As asked for, e.g. "min:mse".
  std::string unit;              // "%", "dB" or "".
  bool higher_is_better = true;  // `min:` sets it to false; wer, cer and mse are so by nature.
  bool needs_target = false;     // Labels.
  bool needs_reference = false;  // The float model's outputs.
  bool score_is_mean = true;     // value() is the mean of the per-sample scores.
  bool score_is_binary = false;  // Per-sample scores are 0 or 100.
};

struct MetricOptions {
  std::string output;  // Name of the output to judge; empty: the first (sqnr: all).
  std::string target;  // Name of the target array; empty: the label, or the first array.
  int axis = -1;       // Of the classes, for arg-max.
  // wer, cer, accuracy on text: characters of codes 1, 2, ...; 0 is CTC's blank. Equal codes in
  // a row count once.
  std::vector<std::string> charset;
};

// What one sample gives a metric.
struct Observation {
  std::span<const NamedTensor> outputs;
  std::span<const NamedTensor> reference;  // May be empty.
  const Target* target = nullptr;          // May be null.
};

class Metric {
 public:
  virtual ~Metric() = default;
  [[nodiscard]] const MetricInfo& info() const noexcept { return info_; }

  // Errors: kDataMismatch when a target or reference is missing or does not fit the output.
  virtual Status add(const Observation& sample) = 0;

  [[nodiscard]] virtual std::int64_t count() const = 0;  // Samples added.

  // The metric over the multiset of samples `which` (indices in order of add); NaN when empty or
  // undefined (a correlation of constants).
  [[nodiscard]] virtual double value_of(std::span<const std::int64_t> which) const = 0;
  [[nodiscard]] double value() const;

  // One sample's score in the metric's unit; NaN where a sample alone has none.
  [[nodiscard]] virtual double score(std::int64_t sample) const = 0;

 protected:
  explicit Metric(MetricInfo info) : info_(std::move(info)) {}
  MetricInfo info_;
};

// Returns the metric of that name, with or without `min:`.
// Errors: kInvalidArgument for an unknown name; the message lists the known ones.
Result<std::unique_ptr<Metric>> make_metric(std::string_view name, MetricOptions options = {});

// A score that the user computes for each sample; the metric is its mean.
using Scorer =
    std::function<Result<double>(const std::vector<NamedTensor>& outputs, const Target& target)>;
std::unique_ptr<Metric> make_score_metric(Scorer scorer, MetricInfo info, MetricOptions options);

// The names make_metric knows.
std::vector<std::string> metric_names();

// An interval [lo, hi] that covers the truth with 95 % confidence.
struct Interval {
  double lo = 0;
  double hi = 0;
};

// Wilson's score interval of a proportion, successes out of n; [0, 1] when n is 0.
Interval wilson_interval(std::int64_t successes, std::int64_t n);

// The two-sided exact p-value of McNemar's test: only_a samples that only A got right, only_b that
// only B did; 1 when both are 0.
double mcnemar_exact(std::int64_t only_a, std::int64_t only_b);

// Metric b minus metric a over the same samples.
struct PairedDifference {
  std::int64_t count = 0;
  double value_a = 0;
  double value_b = 0;
  double difference = 0;             // value_b - value_a, in the metric's unit.
  Interval interval;                 // 95 % of it.
  std::string method;                // "Bonett-Price" or "paired bootstrap, 2000 resamples".
  double p_value = 1;                // McNemar's, for binary scores; NaN otherwise.
  std::vector<std::int64_t> worse;   // Samples whose score got worse, worst first.
  std::vector<std::int64_t> better;  // Samples whose score got better, best first.
};

// Binary scores: Bonett and Price's interval (2012) of a difference of paired proportions, which
// stays honest when few or no samples changed. All others: percentile bootstrap over samples.
// Errors: kInvalidArgument when a and b are not the same metric over equally many samples.
Result<PairedDifference> paired_difference(const Metric& a, const Metric& b, std::uint64_t seed = 1,
                                           int resamples = 2000);

// The interval of one metric alone: Wilson for binary scores, bootstrap otherwise.
Interval interval_of(const Metric& metric, std::uint64_t seed = 1, int resamples = 2000);

}  // namespace intact
