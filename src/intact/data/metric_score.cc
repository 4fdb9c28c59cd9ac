// Scores that the user computes.
#include <utility>

#include "data/metric_parts.h"

namespace intact {
namespace {

class ScoreMetric final : public Metric {
 public:
  ScoreMetric(Scorer scorer, MetricInfo info, MetricOptions options)
      : Metric(std::move(info)), scorer_(std::move(scorer)), options_(std::move(options)) {}

  Status add(const Observation& sample) override {
    std::vector<NamedTensor> outputs(sample.outputs.begin(), sample.outputs.end());
    if (!options_.output.empty()) {
      INTACT_ASSIGN(const Tensor* one, pick_output(sample.outputs, options_.output, info_.name));
      outputs = {{options_.output, *one}};
    }
    Target target;
    if (sample.target != nullptr) target = *sample.target;
    if (!options_.target.empty()) {
      INTACT_ASSIGN(const Tensor* one, pick_target(&target, options_.target, info_.name));
      target.arrays = {{options_.target, *one}};
    }
    INTACT_ASSIGN(const double score, scorer_(outputs, target));
    scores_.push_back(score);
    return {};
  }
  [[nodiscard]] std::int64_t count() const override {
    return static_cast<std::int64_t>(scores_.size());
  }
  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override {
    double sum = 0;
    for (const std::int64_t i : which) sum += score(i);
    return which.empty() ? kNoScore : sum / static_cast<double>(which.size());
  }
  [[nodiscard]] double score(std::int64_t sample) const override {
    return scores_[static_cast<std::size_t>(sample)];
  }

 private:
  Scorer scorer_;
  MetricOptions options_;
  std::vector<double> scores_;
};

}  // namespace

std::unique_ptr<Metric> make_score_metric(Scorer scorer, MetricInfo info, MetricOptions options) {
  return std::make_unique<ScoreMetric>(std::move(scorer), std::move(info), std::move(options));
}

}  // namespace intact
