// top1, top5, accuracy, f1, agreement: metrics of decisions.
#include <fmt/format.h>

#include <map>

#include "data/metric_parts.h"

namespace intact {
namespace {

Status check_counts(std::size_t decided, std::size_t labels, const std::string& metric) {
  if (decided == labels) return {};
  return fail(ErrorCode::kDataMismatch,
              fmt::format("metric {}: the output decides {} times and the sample has {} labels",
                          metric, decided, labels));
}

class TopK final : public RatioMetric {
 public:
  TopK(MetricInfo info, MetricOptions options, std::int64_t k)
      : RatioMetric(std::move(info)), options_(std::move(options)), k_(k) {}

  Status add(const Observation& s) override {
    INTACT_ASSIGN(const Tensor* output, pick_output(s.outputs, options_.output, info_.name));
    INTACT_ASSIGN(const auto labels, pick_labels(s.target, options_.target, info_.name));
    INTACT_ASSIGN(const ClassView view, view_classes(*output, options_.axis, info_.name));
    INTACT_TRY(check_counts(static_cast<std::size_t>(view.positions()), labels.size(), info_.name));
    double right = 0;
    for (std::int64_t p = 0; p < view.positions(); ++p) {
      const std::int64_t label = labels[static_cast<std::size_t>(p)];
      if (label < 0 || label >= view.classes)
        return fail(ErrorCode::kDataMismatch,
                    fmt::format("metric {}: label {} is outside of the model's {} classes",
                                info_.name, label, view.classes));
      const double mine = view.at(p, label);
      std::int64_t ahead = mine == mine ? 0 : view.classes;
      for (std::int64_t c = 0; c < view.classes; ++c) {
        const double x = view.at(p, c);
        if (x > mine || (x == mine && c < label)) ++ahead;
      }
      if (ahead < k_) ++right;
    }
    record(right, static_cast<double>(labels.size()));
    return {};
  }

 private:
  MetricOptions options_;
  std::int64_t k_;
};

class Accuracy final : public RatioMetric {
 public:
  Accuracy(MetricInfo info, MetricOptions options)
      : RatioMetric(std::move(info)), options_(std::move(options)) {}

  Status add(const Observation& s) override {
    INTACT_ASSIGN(const Tensor* output, pick_output(s.outputs, options_.output, info_.name));
    if (!options_.charset.empty()) return add_text(*output, s.target);
    INTACT_ASSIGN(const auto labels, pick_labels(s.target, options_.target, info_.name));
    INTACT_ASSIGN(const auto decided, decisions(*output, options_.axis, info_.name));
    INTACT_TRY(check_counts(decided.size(), labels.size(), info_.name));
    double right = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) right += decided[i] == labels[i] ? 1 : 0;
    record(right, static_cast<double>(labels.size()));
    return {};
  }

 private:
  Status add_text(const Tensor& output, const Target* target) {
    if (target == nullptr || !target->text)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {}: the sample has no text; give a labels.csv of 'file,text'",
                              info_.name));
    INTACT_ASSIGN(const auto codes, text_codes(output, options_.axis, info_.name));
    INTACT_ASSIGN(const std::string text, text_of(codes, options_.charset, info_.name));
    record(text == *target->text ? 1 : 0, 1);
    return {};
  }
  MetricOptions options_;
};

class Agreement final : public RatioMetric {
 public:
  Agreement(MetricInfo info, MetricOptions options)
      : RatioMetric(std::move(info)), options_(std::move(options)) {}

  Status add(const Observation& s) override {
    INTACT_ASSIGN(const Tensor* output, pick_output(s.outputs, options_.output, info_.name));
    if (s.reference.empty())
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {} compares with the float model; give it too", info_.name));
    INTACT_ASSIGN(const Tensor* reference, pick_output(s.reference, options_.output, info_.name));
    INTACT_ASSIGN(const auto a, decisions(*output, options_.axis, info_.name));
    INTACT_ASSIGN(const auto b, decisions(*reference, options_.axis, info_.name));
    INTACT_TRY(check_counts(a.size(), b.size(), info_.name));
    double same = 0;
    for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
    record(same, static_cast<double>(a.size()));
    return {};
  }

 private:
  MetricOptions options_;
};

class F1 final : public Metric {
 public:
  F1(MetricInfo info, MetricOptions options)
      : Metric(std::move(info)), options_(std::move(options)) {}

  Status add(const Observation& s) override {
    INTACT_ASSIGN(const Tensor* output, pick_output(s.outputs, options_.output, info_.name));
    INTACT_ASSIGN(const auto labels, pick_labels(s.target, options_.target, info_.name));
    INTACT_ASSIGN(const auto decided, decisions(*output, options_.axis, info_.name));
    INTACT_TRY(check_counts(decided.size(), labels.size(), info_.name));
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < labels.size(); ++i) pairs.push_back({decided[i], labels[i]});
    records_.push_back(std::move(pairs));
    return {};
  }

  [[nodiscard]] std::int64_t count() const override {
    return static_cast<std::int64_t>(records_.size());
  }

  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override {
    struct Counts {
      double both = 0, decided = 0, labelled = 0;
    };
    std::map<std::int64_t, Counts> classes;
    for (const std::int64_t i : which)
      for (const Pair& pair : records_[static_cast<std::size_t>(i)]) {
        ++classes[pair.decided].decided;
        ++classes[pair.label].labelled;
        if (pair.decided == pair.label) ++classes[pair.label].both;
      }
    if (classes.empty()) return kNoScore;
    // F1 = 2 precision recall / (precision + recall) = 2 both / (decided + labelled).
    const auto f1 = [](const Counts& c) {
      return c.decided + c.labelled == 0 ? 0 : 200 * c.both / (c.decided + c.labelled);
    };
    if (classes.begin()->first >= 0 && classes.rbegin()->first <= 1) return f1(classes[1]);
    double sum = 0;
    for (const auto& [label, counts] : classes) sum += f1(counts);
    return sum / static_cast<double>(classes.size());
  }

  // 100 where every decision of the sample is right, 0 where none is.
  [[nodiscard]] double score(std::int64_t sample) const override {
    const auto& pairs = records_[static_cast<std::size_t>(sample)];
    double right = 0;
    for (const Pair& pair : pairs) right += pair.decided == pair.label ? 1 : 0;
    return pairs.empty() ? kNoScore : 100 * right / static_cast<double>(pairs.size());
  }

 private:
  struct Pair {
    std::int64_t decided, label;
  };
  MetricOptions options_;
  std::vector<std::vector<Pair>> records_;
};

}  // namespace

std::unique_ptr<Metric> make_class_metric(const std::string& name, MetricInfo info,
                                          const MetricOptions& options) {
  if (name == "top1") return std::make_unique<TopK>(std::move(info), options, 1);
  if (name == "top5") return std::make_unique<TopK>(std::move(info), options, 5);
  if (name == "accuracy") return std::make_unique<Accuracy>(std::move(info), options);
  if (name == "f1") return std::make_unique<F1>(std::move(info), options);
  if (name == "agreement") return std::make_unique<Agreement>(std::move(info), options);
  return nullptr;
}

}  // namespace intact
