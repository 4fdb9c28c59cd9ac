#include "intact/evaluate.h"

#include <fmt/format.h>

#include "api/dataset_samples.h"
#include "api/sample_tensors.h"
#include "data/metrics.h"
#include "runtime/engine.h"

namespace intact {
namespace {

Result<std::unique_ptr<Metric>> metric_of(const EvaluateOptions& o) {
  MetricOptions options;
  options.output = o.output;
  options.target = o.target;
  if (!o.score) return make_metric(o.metric, options);
  MetricInfo info;
  info.name = o.metric;
  info.higher_is_better = !o.metric.starts_with("min:");
  const Scorer scorer = [score = o.score](const std::vector<NamedTensor>& outputs,
                                          const Target& target) {
    std::map<std::string, OwnedTensor> named;
    for (const auto& [name, tensor] : outputs) named[name] = owned(tensor);
    SampleInputs targets;
    for (const auto& [name, tensor] : target.arrays) targets[name] = owned(tensor);
    return score(named, targets);
  };
  return make_score_metric(scorer, std::move(info), std::move(options));
}

Result<std::vector<NamedTensor>> run(const Session& session, const SampleInputs& sample,
                                     const std::atomic<bool>* cancel) {
  INTACT_ASSIGN(const auto inputs, SampleReader(session.engine().graph()).read(sample));
  RunOptions options;
  options.cancel = cancel;
  INTACT_ASSIGN(auto outputs, session.engine().run(inputs, options));
  std::vector<NamedTensor> named;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    named.emplace_back(session.outputs()[i].name, std::move(outputs[i]));
  return named;
}

}  // namespace

// All models see a sample before the next one is read: memory holds one sample, and the data is
// read once.
Result<std::vector<Evaluation>> evaluate(const std::vector<Session>& models,
                                         const SampleSource& samples,
                                         const EvaluateOptions& options) {
  std::vector<std::unique_ptr<Metric>> metrics;
  for (std::size_t i = 0; i < models.size(); ++i) {
    INTACT_ASSIGN(auto metric, metric_of(options));
    metrics.push_back(std::move(metric));
  }
  if (models.empty()) return fail(ErrorCode::kInvalidArgument, "there is no model to evaluate");
  if (samples.restart) INTACT_TRY(samples.restart());
  std::int64_t count = 0;
  for (;; ++count) {
    if (!samples.next) break;
    INTACT_ASSIGN(const auto sample, samples.next());
    if (!sample) break;
    const std::string name = fmt::format("sample {}", count);
    const Target target = target_of(*sample, models[0]);
    std::vector<NamedTensor> reference;
    for (std::size_t i = 0; i < models.size(); ++i) {
      auto outputs = run(models[i], *sample, options.cancel);
      if (!outputs) return fail(outputs.error().with_context(name));
      if (i == 0) reference = *outputs;
      const bool needed = metrics[i]->info().needs_reference;
      auto status =
          metrics[i]->add({*outputs, needed ? reference : std::vector<NamedTensor>(), &target});
      if (!status) return fail(status.error().with_context(name));
    }
    if (options.progress) options.progress(name, 0);
  }
  if (count == 0) return fail(ErrorCode::kInvalidArgument, "there are no samples; give --data");
  std::vector<Evaluation> results;
  for (const auto& metric : metrics) {
    Evaluation e;
    e.value = metric->value();
    e.unit = metric->info().unit;
    e.higher_is_better = metric->info().higher_is_better;
    e.samples = metric->count();
    if (metric != metrics[0]) {
      INTACT_ASSIGN(const PairedDifference d, paired_difference(*metrics[0], *metric));
      e.difference = d.difference;
      e.difference_low = d.interval.lo;
      e.difference_high = d.interval.hi;
      e.method = d.method;
      e.worse = d.worse;
      e.better = d.better;
    }
    results.push_back(std::move(e));
  }
  return results;
}

}  // namespace intact
