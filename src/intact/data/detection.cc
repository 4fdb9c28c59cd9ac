#include "data/detection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "data/metric_parts.h"

namespace intact {
namespace {

constexpr std::size_t kMaxDetections = 100;
constexpr int kRecallPoints = 101;

// Rows of a [n, columns] tensor, with any leading ones.
Result<std::vector<double>> rows_of(const Tensor& t, std::int64_t columns, std::string_view what) {
  std::int64_t lead = 1;
  for (std::size_t i = 0; i + 2 < t.rank(); ++i) lead *= t.shape()[i];
  if (t.rank() < 2 || t.shape().back() != columns || lead != 1)
    return fail(ErrorCode::kDataMismatch, fmt::format("map: the {} must be [n,{}], not {}", what,
                                                      columns, to_string(t.shape())));
  return to_float64(t);
}

}  // namespace

double intersection_over_union(const Box& a, const Box& b) noexcept {
  const double w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  const double h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  if (!(w > 0 && h > 0)) return 0;
  const double both = w * h;
  return both / ((a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - both);
}

MeanAveragePrecision::MeanAveragePrecision(MetricInfo info, MetricOptions options)
    : Metric(std::move(info)), options_(std::move(options)) {}

Status MeanAveragePrecision::add(const Observation& sample) {
  INTACT_ASSIGN(const Tensor* output, pick_output(sample.outputs, options_.output, "map"));
  INTACT_ASSIGN(const Tensor* target, pick_target(sample.target, options_.target, "map"));
  INTACT_ASSIGN(const std::vector<double> found, rows_of(*output, 6, "output"));
  INTACT_ASSIGN(const std::vector<double> there, rows_of(*target, 5, "target"));
  std::vector<Box> detections, truths;
  for (std::size_t i = 0; i + 6 <= found.size(); i += 6)
    if (found[i + 4] > 0)
      detections.push_back({found[i], found[i + 1], found[i + 2], found[i + 3],
                            std::llround(found[i + 5]), found[i + 4]});
  for (std::size_t i = 0; i + 5 <= there.size(); i += 5)
    truths.push_back(
        {there[i], there[i + 1], there[i + 2], there[i + 3], std::llround(there[i + 4]), 1});
  add_boxes(detections, truths);
  return {};
}

void MeanAveragePrecision::add_boxes(std::span<const Box> detections, std::span<const Box> truths) {
  std::vector<Box> ordered(detections.begin(), detections.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Box& a, const Box& b) { return a.score > b.score; });
  if (ordered.size() > kMaxDetections) ordered.resize(kMaxDetections);
  Record record;
  for (const Box& box : truths) record.truth_labels.push_back(box.label);
  std::sort(record.truth_labels.begin(), record.truth_labels.end());
  std::vector<std::uint16_t> taken(truths.size(), 0);  // Bit t: matched at threshold t.
  for (const Box& box : ordered) {
    Hit hit{box.label, box.score, 0};
    for (int t = 0; t < kThresholds; ++t) {
      double best = (50 + 5 * t) / 100.0;
      std::size_t match = truths.size();
      for (std::size_t i = 0; i < truths.size(); ++i) {
        if (truths[i].label != box.label || (taken[i] >> t & 1) != 0) continue;
        const double overlap = intersection_over_union(box, truths[i]);
        if (overlap > best || (overlap == best && match == truths.size())) {
          best = overlap;
          match = i;
        }
      }
      if (match == truths.size()) continue;
      const auto bit = static_cast<std::uint16_t>(1u << t);
      taken[match] = static_cast<std::uint16_t>(taken[match] | bit);
      hit.is_true = static_cast<std::uint16_t>(hit.is_true | bit);
    }
    record.hits.push_back(hit);
  }
  records_.push_back(std::move(record));
}

std::int64_t MeanAveragePrecision::count() const {
  return static_cast<std::int64_t>(records_.size());
}

double MeanAveragePrecision::average(std::span<const std::int64_t> which, int first,
                                     int last) const {
  struct Class {
    std::vector<const Hit*> hits;
    std::int64_t truths = 0;
  };
  std::map<std::int64_t, Class> classes;
  for (const std::int64_t i : which) {
    const Record& record = records_[static_cast<std::size_t>(i)];
    for (const std::int64_t label : record.truth_labels) ++classes[label].truths;
    for (const Hit& hit : record.hits) classes[hit.label].hits.push_back(&hit);
  }
  double sum = 0;
  int terms = 0;
  std::vector<double> precision, recall;
  for (auto& [label, c] : classes) {
    if (c.truths == 0) continue;
    std::stable_sort(c.hits.begin(), c.hits.end(),
                     [](const Hit* a, const Hit* b) { return a->score > b->score; });
    for (int t = first; t <= last; ++t, ++terms) {
      precision.clear();
      recall.clear();
      double found = 0;
      for (const Hit* hit : c.hits) {
        found += hit->is_true >> t & 1;
        precision.push_back(found / (static_cast<double>(precision.size()) + 1));
        recall.push_back(found / static_cast<double>(c.truths));
      }
      for (std::size_t i = precision.size(); i-- > 1;)
        precision[i - 1] = std::max(precision[i - 1], precision[i]);
      double area = 0;
      for (int point = 0; point < kRecallPoints; ++point) {
        const auto at = std::lower_bound(recall.begin(), recall.end(), point / 100.0);
        if (at != recall.end()) area += precision[static_cast<std::size_t>(at - recall.begin())];
      }
      sum += area / kRecallPoints;
    }
  }
  return terms == 0 ? std::numeric_limits<double>::quiet_NaN() : 100 * sum / terms;
}

double MeanAveragePrecision::value_of(std::span<const std::int64_t> which) const {
  return average(which, 0, kThresholds - 1);
}

double MeanAveragePrecision::value_at(std::span<const std::int64_t> which, int threshold) const {
  return average(which, threshold, threshold);
}

double MeanAveragePrecision::score(std::int64_t sample) const {
  const std::array<std::int64_t, 1> one{sample};
  return value_of(one);
}

}  // namespace intact
