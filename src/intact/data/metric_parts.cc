#include "data/metric_parts.h"

#include <fmt/format.h>

#include <cmath>

namespace intact {
namespace {

auto mismatch(std::string message) { return fail(ErrorCode::kDataMismatch, std::move(message)); }

}  // namespace

Result<const Tensor*> pick_output(std::span<const NamedTensor> outputs, const std::string& name,
                                  std::string_view metric) {
  for (const auto& [key, tensor] : outputs)
    if ((name.empty() || key == name) && tensor.defined() && bits_of(tensor.dtype()) > 0)
      return &tensor;
  return mismatch(fmt::format("metric {}: the model has no {}", metric,
                              name.empty() ? "numeric output" : fmt::format("output '{}'", name)));
}

Result<const Tensor*> pick_target(const Target* target, const std::string& name,
                                  std::string_view metric) {
  if (target != nullptr)
    for (const auto& [key, tensor] : target->arrays)
      if (name.empty() || key == name) return &tensor;
  return mismatch(fmt::format("metric {} needs a target array{} in the data, beside the inputs",
                              metric, name.empty() ? "" : fmt::format(" '{}'", name)));
}

Result<std::vector<std::int64_t>> pick_labels(const Target* target, const std::string& name,
                                              std::string_view metric) {
  if (target != nullptr && name.empty() && target->label)
    return std::vector<std::int64_t>{*target->label};
  auto array = pick_target(target, name, metric);
  if (array && !is_float((*array)->dtype())) return to_int64(**array);
  return mismatch(fmt::format(
      "metric {} needs labels as whole numbers: an array 'labels' in the .npz, a labels.csv of "
      "'file,label', or one sub-folder a class",
      metric));
}

Result<ClassView> view_classes(const Tensor& t, int axis, std::string_view metric) {
  if (t.rank() == 0) return ClassView{to_float64(t), 1, 1, 1};
  auto normal = normalize_axis(axis, t.rank());
  if (!normal) return fail(normal.error().with_context(fmt::format("metric {}", metric)));
  ClassView view;
  for (std::size_t i = 0; i < t.rank(); ++i) {
    const auto at = static_cast<std::size_t>(*normal);
    (i < at ? view.outer : i == at ? view.classes : view.inner) *= t.shape()[i];
  }
  if (view.classes == 0 || view.positions() == 0)
    return mismatch(fmt::format("metric {}: the output {} is empty", metric, to_string(t.shape())));
  view.values = to_float64(t);
  return view;
}

std::int64_t arg_max(const ClassView& view, std::int64_t position) noexcept {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < view.classes; ++c) {
    const double x = view.at(position, c), top = view.at(position, best);
    if (x > top || (std::isnan(top) && !std::isnan(x))) best = c;
  }
  return best;
}

Result<std::vector<std::int64_t>> decisions(const Tensor& t, int axis, std::string_view metric) {
  if (!is_float(t.dtype())) return to_int64(t);
  INTACT_ASSIGN(const ClassView view, view_classes(t, axis, metric));
  std::vector<std::int64_t> out;
  for (std::int64_t p = 0; p < view.positions(); ++p)
    out.push_back(view.classes == 1 ? (view.at(p, 0) >= 0.5 ? 1 : 0) : arg_max(view, p));
  return out;
}

Result<std::vector<std::int64_t>> text_codes(const Tensor& t, int axis, std::string_view metric) {
  INTACT_ASSIGN(const auto steps, decisions(t, axis, metric));
  if (!is_float(t.dtype())) return steps;
  std::vector<std::int64_t> codes;
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i] != 0 && (i == 0 || steps[i] != steps[i - 1])) codes.push_back(steps[i]);
  return codes;
}

Result<std::string> text_of(std::span<const std::int64_t> codes,
                            std::span<const std::string> charset, std::string_view metric) {
  std::string out;
  for (const std::int64_t code : codes) {
    if (code < 1 || code > static_cast<std::int64_t>(charset.size()))
      return mismatch(fmt::format("metric {}: the output has code {}, and there are {} characters",
                                  metric, code, charset.size()));
    out += charset[static_cast<std::size_t>(code - 1)];
  }
  return out;
}

void RatioMetric::record(double part, double whole) {
  records_.push_back({part, whole});
  if (whole != 1) info_.score_is_binary = info_.score_is_mean = false;
}

std::int64_t RatioMetric::count() const { return static_cast<std::int64_t>(records_.size()); }

double RatioMetric::value_of(std::span<const std::int64_t> which) const {
  double part = 0, whole = 0;
  for (const std::int64_t i : which) {
    part += records_[static_cast<std::size_t>(i)].part;
    whole += records_[static_cast<std::size_t>(i)].whole;
  }
  return whole == 0 ? kNoScore : 100 * part / whole;
}

double RatioMetric::score(std::int64_t sample) const {
  const Record& r = records_[static_cast<std::size_t>(sample)];
  return r.whole == 0 ? kNoScore : 100 * r.part / r.whole;
}

}  // namespace intact
