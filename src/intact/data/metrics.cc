#include "data/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "data/detection.h"
#include "data/metric_parts.h"
#include "data/python_process.h"

namespace intact {
namespace {

struct Row {
  std::string_view name;
  std::string_view unit;
  bool higher_is_better, needs_target, needs_reference, score_is_mean, score_is_binary;
};

constexpr std::array<Row, 13> kRows{{
    {"top1", "%", true, true, false, true, true},
    {"top5", "%", true, true, false, true, true},
    {"accuracy", "%", true, true, false, true, true},
    {"f1", "%", true, true, false, false, false},
    {"agreement", "%", true, false, true, true, true},
    {"sqnr", "dB", true, false, true, false, false},
    {"cosine", "", true, false, true, true, false},
    {"mse", "", false, false, true, true, false},
    {"spearman", "%", true, true, false, false, false},
    {"pearson", "%", true, true, false, false, false},
    {"wer", "%", false, true, false, false, false},
    {"cer", "%", false, true, false, false, false},
    {"map", "%", true, true, false, false, false},
}};

}  // namespace

double Metric::value() const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(count()));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return value_of(all);
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
}

Result<std::unique_ptr<Metric>> make_metric(std::string_view text, MetricOptions options) {
  constexpr std::string_view kMin = "min:";
  const bool lower = text.starts_with(kMin);
  const std::string name(lower ? text.substr(kMin.size()) : text);
  if (const auto python = parse_python_name(name)) {
    MetricInfo info;
    info.name = text;
    info.higher_is_better = !lower;
    INTACT_ASSIGN(std::shared_ptr<PythonProcess> process, PythonProcess::start(*python));
    return make_score_metric(
        [process](const auto& outputs, const Target& target) {
          return process->score(outputs, target);
        },
        std::move(info), std::move(options));
  }
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.name == name; });
  if (row == kRows.end())
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("there is no metric '{}'; the metrics are {} and FILE.py:NAME, with min: in "
                    "front when lower is better",
                    text, fmt::join(metric_names(), ", ")));
  MetricInfo info{std::string(text),   std::string(row->unit), row->higher_is_better && !lower,
                  row->needs_target,   row->needs_reference,   row->score_is_mean,
                  row->score_is_binary};
  if (name == "map")
    return std::make_unique<MeanAveragePrecision>(std::move(info), std::move(options));
  for (auto* make :
       {&make_class_metric, &make_fidelity_metric, &make_correlation_metric, &make_text_metric})
    if (auto metric = make(name, info, options)) return metric;
  return fail(ErrorCode::kUnsupported, fmt::format("metric '{}' has no maker", name));
}

}  // namespace intact
