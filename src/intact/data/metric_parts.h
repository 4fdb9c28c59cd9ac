// metric_parts.h: what the metrics share: finding tensors and reading decisions from them. Private.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/metrics.h"

namespace intact {

inline constexpr double kNoScore = std::numeric_limits<double>::quiet_NaN();

// Returns the output of that name, or the first. Errors: kDataMismatch, naming the metric.
Result<const Tensor*> pick_output(std::span<const NamedTensor> outputs, const std::string& name,
                                  std::string_view metric);

// Returns the target array of that name, or the first. Errors: as above.
Result<const Tensor*> pick_target(const Target* target, const std::string& name,
                                  std::string_view metric);

// Returns the class indices of a target: the array asked for, the label, or the first array.
Result<std::vector<std::int64_t>> pick_labels(const Target* target, const std::string& name,
                                              std::string_view metric);

// A tensor seen as [outer, classes, inner].
struct ClassView {
  std::vector<double> values;
  std::int64_t outer = 1, classes = 1, inner = 1;
  [[nodiscard]] std::int64_t positions() const noexcept { return outer * inner; }
  [[nodiscard]] double at(std::int64_t position, std::int64_t c) const noexcept {
    return values[static_cast<std::size_t>((position / inner * classes + c) * inner +
                                           position % inner)];
  }
};
Result<ClassView> view_classes(const Tensor& t, int axis, std::string_view metric);

// The index of the largest value (the first of equal ones; NaN is smallest).
std::int64_t arg_max(const ClassView& view, std::int64_t position) noexcept;

// What a tensor decides at each position: whole numbers as they are, one float a position as
// x >= 0.5, several as arg-max.
Result<std::vector<std::int64_t>> decisions(const Tensor& t, int axis, std::string_view metric);

// The codes of a text output: whole numbers as they are, floats by arg-max with equal neighbours
// counted once and 0 dropped (CTC).
Result<std::vector<std::int64_t>> text_codes(const Tensor& t, int axis, std::string_view metric);
// The text of codes. Errors: kDataMismatch for a code outside of [1, charset.size()].
Result<std::string> text_of(std::span<const std::int64_t> codes,
                            std::span<const std::string> charset, std::string_view metric);

// A metric that is a ratio of sums over samples: 100 * sum(part) / sum(whole).
class RatioMetric : public Metric {
 public:
  [[nodiscard]] std::int64_t count() const override;
  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override;
  [[nodiscard]] double score(std::int64_t sample) const override;

 protected:
  explicit RatioMetric(MetricInfo info) : Metric(std::move(info)) {}
  void record(double part, double whole);

 private:
  struct Record {
    double part, whole;
  };
  std::vector<Record> records_;
};

// One maker a family; nullptr for names of other families.
std::unique_ptr<Metric> make_class_metric(const std::string& name, MetricInfo info,
                                          const MetricOptions& options);
std::unique_ptr<Metric> make_fidelity_metric(const std::string& name, MetricInfo info,
                                             const MetricOptions& options);
std::unique_ptr<Metric> make_correlation_metric(const std::string& name, MetricInfo info,
                                                const MetricOptions& options);
std::unique_ptr<Metric> make_text_metric(const std::string& name, MetricInfo info,
                                         const MetricOptions& options);

}  // namespace intact
