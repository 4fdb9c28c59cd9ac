// detection.h: boxes found and boxes there, and COCO's mean average precision.
//
// A detection of class c counts as true at threshold t when, taken in order of falling score within
// its picture, the free true box of class c that it overlaps most has IoU >= t. With all pictures'
// detections of c in order of falling score, precision(r) = max over later points of true / taken,
//   AP(c, t) = mean of precision(r) at recalls r = 0, 0.01, ..., 1   (0 where r is not reached)
//   value    = mean over classes with true boxes and t = 0.50, 0.55, ..., 0.95, in %.
// No crowds, no area ranges; at most 100 detections a picture. Source: the COCO detection
// challenge's description of its metrics.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/metrics.h"

namespace intact {

// Corners in any one unit; x0 <= x1, y0 <= y1.
struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  std::int64_t label = 0;
  double score = 1;  // Of detections.
};

double intersection_over_union(const Box& a, const Box& b) noexcept;

class MeanAveragePrecision final : public Metric {
 public:
  explicit MeanAveragePrecision(MetricInfo info, MetricOptions options = {});

  // Tensors: the output is [K,6] or [1,K,6] of x0, y0, x1, y1, score, class (rows of score <= 0
  // are padding); the target is [M,5] of x0, y0, x1, y1, class.
  Status add(const Observation& sample) override;
  void add_boxes(std::span<const Box> detections, std::span<const Box> truths);

  [[nodiscard]] std::int64_t count() const override;
  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override;
  [[nodiscard]] double score(std::int64_t sample) const override;

  // The same at one threshold: 0 is IoU 0.50 (AP50), 9 is 0.95.
  [[nodiscard]] double value_at(std::span<const std::int64_t> which, int threshold) const;

 private:
  static constexpr int kThresholds = 10;
  struct Hit {
    std::int64_t label;
    double score;
    std::uint16_t is_true;  // Bit t: true at threshold t.
  };
  struct Record {
    std::vector<Hit> hits;                   // By falling score.
    std::vector<std::int64_t> truth_labels;  // Sorted.
  };
  [[nodiscard]] double average(std::span<const std::int64_t> which, int first, int last) const;

  MetricOptions options_;
  std::vector<Record> records_;
};

}  // namespace intact
