// evaluate.h: models side by side on labelled data: each one's figure, and the paired difference
// from the first with its 95 % interval.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "intact/quantize.h"
#include "intact/result.h"
#include "intact/session.h"

namespace intact {

// A score that the caller computes for each sample: outputs and targets by name. Higher is better
// unless EvaluateOptions::metric begins with "min:".
using SampleScore = std::function<Result<double>(const std::map<std::string, OwnedTensor>& outputs,
                                                 const SampleInputs& targets)>;

struct EvaluateOptions {
  std::string metric = "top1";  // docs/guides/data.md; "min:" in front: lower is better.
  SampleScore score;            // When set, `metric` is only its name.
  std::string output;           // The output to judge; empty: the first (sqnr: all).
  std::string target;           // The target array; empty: the label, or the first array.
  std::function<void(const std::string& stage, double done)> progress;
  const std::atomic<bool>* cancel = nullptr;
};

struct Evaluation {
  double value = 0;
  std::string unit;  // "%", "dB" or "".
  bool higher_is_better = true;
  std::int64_t samples = 0;
  // Against the first model; of the first itself they say nothing.
  double difference = 0;  // In the metric's own unit.
  double difference_low = 0;
  double difference_high = 0;
  std::string method;               // Of the interval.
  std::vector<std::int64_t> worse;  // Samples that got worse, worst first.
  std::vector<std::int64_t> better;
};

// One evaluation a model. What the samples hold beyond the inputs is their target (data.h).
// Errors: kInvalidArgument (metric; no samples); kDataMismatch (a sample, a target that is missing
// or does not fit); those of running; kInterrupted.
Result<std::vector<Evaluation>> evaluate(const std::vector<Session>& models,
                                         const SampleSource& samples,
                                         const EvaluateOptions& options = {});

// How much worse the second of two models is by a metric, and how much worse it may be.
struct MetricDrop {
  Evaluation before, after;
  double drop = 0;   // In the metric's own unit; positive is worse.
  double limit = 0;  // Likewise.
  [[nodiscard]] bool missed() const { return drop > limit; }
};

// `max_drop` is in the metric's own unit ("0.5"), or a share of what the first model has ("1%").
// Errors: those of evaluate; kInvalidArgument (max_drop; a metric that the first model has no
// finite value of).
Result<MetricDrop> measure_drop(const Session& before, const Session& after,
                                const SampleSource& samples, const std::string& max_drop,
                                const EvaluateOptions& options = {});

// Whether measure_drop would take this max_drop. Errors: kInvalidArgument.
Status check_max_drop(const std::string& max_drop);

}  // namespace intact
