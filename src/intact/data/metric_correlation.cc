// pearson, spearman: whether outputs rise with their targets.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/metric_parts.h"

namespace intact {
namespace {

double pearson(std::span<const double> x, std::span<const double> y) {
  const auto n = static_cast<double>(x.size());
  if (x.size() < 2) return kNoScore;
  const double mx = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double my = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
    xy += (x[i] - mx) * (y[i] - my);
  }
  return xx == 0 || yy == 0 ? kNoScore : 100 * xy / std::sqrt(xx * yy);
}

// Ranks from 1; equal values share the mean of their ranks.
std::vector<double> ranks(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i + 1;
    while (end < order.size() && x[order[end]] == x[order[i]]) ++end;
    const double rank = static_cast<double>(i + end + 1) / 2;
    for (; i < end; ++i) out[order[i]] = rank;
  }
  return out;
}

class Correlation final : public Metric {
 public:
  Correlation(MetricInfo info, MetricOptions options, bool by_rank)
      : Metric(std::move(info)), options_(std::move(options)), by_rank_(by_rank) {}

  Status add(const Observation& s) override {
    INTACT_ASSIGN(const Tensor* output, pick_output(s.outputs, options_.output, info_.name));
    Record record{to_float64(*output), {}};
    if (s.target != nullptr && options_.target.empty() && s.target->arrays.empty() &&
        s.target->label) {
      record.y = {static_cast<double>(*s.target->label)};
    } else if ((s.target == nullptr || s.target->arrays.empty()) && !s.reference.empty()) {
      INTACT_ASSIGN(const Tensor* reference, pick_output(s.reference, options_.output, info_.name));
      record.y = to_float64(*reference);
    } else {
      INTACT_ASSIGN(const Tensor* target, pick_target(s.target, options_.target, info_.name));
      record.y = to_float64(*target);
    }
    if (record.x.size() != record.y.size())
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {}: the output has {} values and the target has {}",
                              info_.name, record.x.size(), record.y.size()));
    for (const double v : record.x)
      if (std::isnan(v))
        return fail(ErrorCode::kDataMismatch,
                    fmt::format("metric {}: the output is NaN, which has no rank", info_.name));
    records_.push_back(std::move(record));
    return {};
  }

  [[nodiscard]] std::int64_t count() const override {
    return static_cast<std::int64_t>(records_.size());
  }

  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override {
    std::vector<double> x, y;
    for (const std::int64_t i : which) {
      const Record& r = records_[static_cast<std::size_t>(i)];
      x.insert(x.end(), r.x.begin(), r.x.end());
      y.insert(y.end(), r.y.begin(), r.y.end());
    }
    return by_rank_ ? pearson(ranks(x), ranks(y)) : pearson(x, y);
  }

  [[nodiscard]] double score(std::int64_t sample) const override {
    return value_of(std::span(&sample, 1));
  }

 private:
  struct Record {
    std::vector<double> x, y;
  };
  MetricOptions options_;
  bool by_rank_;
  std::vector<Record> records_;
};

}  // namespace

std::unique_ptr<Metric> make_correlation_metric(const std::string& name, MetricInfo info,
                                                const MetricOptions& options) {
  if (name == "pearson" || name == "spearman")
    return std::make_unique<Correlation>(std::move(info), options, name == "spearman");
  return nullptr;
}

}  // namespace intact
