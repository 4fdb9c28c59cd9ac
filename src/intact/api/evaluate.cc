#include "intact/evaluate.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "api/dataset_samples.h"
#include "api/sample_reader.h"
#include "api/sample_tensors.h"
#include "calib/byte_outputs.h"
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

// Runs a model; outputs of codes become `reals`, as the metric of a float model has them.
// `maps`: of the inputs that some of the models take as bytes.
Result<std::vector<NamedTensor>> run(const Session& session, const ByteMaps& maps,
                                     const std::map<std::string, Affine>& reals,
                                     const SampleInputs& sample, const std::atomic<bool>* cancel) {
  INTACT_ASSIGN(const auto inputs, SampleReader(session.engine().graph(), maps).read(sample));
  RunOptions options;
  options.cancel = cancel;
  INTACT_ASSIGN(auto outputs, session.engine().run(inputs, options));
  std::vector<NamedTensor> named;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    named.emplace_back(session.outputs()[i].name, std::move(outputs[i]));
  for (auto& [name, tensor] : named)
    if (const auto map = reals.find(name); map != reals.end() && tensor.dtype() == Dtype::kUint8) {
      Tensor real(Dtype::kFloat32, tensor.shape());
      dequantize(tensor.values<std::uint8_t>(), map->second, real.mutable_values<float>());
      tensor = std::move(real);
    }
  return named;
}

Result<double> limit_of(const std::string& max_drop, double before) {
  const bool relative = max_drop.ends_with('%');
  const char* end = max_drop.data() + max_drop.size() - (relative ? 1 : 0);
  double limit = 0;
  const auto [next, error] = std::from_chars(max_drop.data(), end, limit);
  if (error != std::errc() || next != end || !(limit >= 0))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the largest drop '{}' is not a number such as 0.5, or a share such as "
                            "1%",
                            max_drop));
  return relative ? limit / 100 * std::fabs(before) : limit;
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
  ByteMaps maps;
  std::vector<std::map<std::string, Affine>> reals;
  for (const Session& model : models) {
    maps.merge(byte_maps_of(model.metadata()));
    reals.push_back(output_maps_of(model.metadata()));
  }
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
      auto outputs = run(models[i], maps, reals[i], *sample, options.cancel);
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

Result<MetricDrop> measure_drop(const Session& before, const Session& after,
                                const SampleSource& samples, const std::string& max_drop,
                                const EvaluateOptions& options) {
  INTACT_TRY(check_max_drop(max_drop));
  INTACT_ASSIGN(auto results, evaluate({before, after}, samples, options));
  MetricDrop d{std::move(results[0]), std::move(results[1])};
  d.drop = d.before.higher_is_better ? -d.after.difference : d.after.difference;
  if (!std::isfinite(d.drop))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the float model has no {} to drop from; a limit of the SQNR limits "
                            "the noise",
                            options.metric));
  INTACT_ASSIGN(d.limit, limit_of(max_drop, d.before.value));
  return d;
}

Status check_max_drop(const std::string& max_drop) {
  INTACT_TRY(limit_of(max_drop, 1));
  return {};
}

}  // namespace intact
