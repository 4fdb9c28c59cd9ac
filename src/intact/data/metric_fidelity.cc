// sqnr, cosine, mse: how near outputs are to a reference, element by element.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/metric_parts.h"

namespace intact {
namespace {

// Sums over the elements of one output of one sample.
struct Sums {
  double count = 0;
  double reference = 0;  // sum ref^2
  double output = 0;     // sum out^2
  double product = 0;    // sum ref out
  double error = 0;      // sum (out - ref)^2; infinite when one is not finite and the other is.
};

Sums sums_of(const Tensor& output, const Tensor& reference) {
  const auto a = to_float64(output);
  const auto b = to_float64(reference);
  Sums s;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(b[i]) && (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])))) continue;
    s.count += 1;
    s.reference += b[i] * b[i];
    s.output += a[i] * a[i];
    s.product += a[i] * b[i];
    s.error += (a[i] - b[i]) * (a[i] - b[i]);
  }
  if (std::isnan(s.error)) s.error = std::numeric_limits<double>::infinity();
  return s;
}

class Fidelity : public Metric {
 public:
  Fidelity(MetricInfo info, MetricOptions options, bool all_outputs)
      : Metric(std::move(info)), options_(std::move(options)), all_outputs_(all_outputs) {}

  Status add(const Observation& s) override {
    std::vector<Sums> record;
    for (const auto& [name, output] : s.outputs) {
      if (!options_.output.empty() && name != options_.output) continue;
      if (!output.defined() || bits_of(output.dtype()) == 0) continue;
      INTACT_ASSIGN(const Tensor* reference, find_reference(s, name));
      if (reference->size() != output.size())
        return fail(ErrorCode::kDataMismatch,
                    fmt::format("metric {}: output '{}' is {} and its reference is {}", info_.name,
                                name, to_string(output.shape()), to_string(reference->shape())));
      record.push_back(sums_of(output, *reference));
      if (!all_outputs_) break;
    }
    if (record.empty()) {
      INTACT_TRY(pick_output(s.outputs, options_.output, info_.name));
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {}: there is no numeric output", info_.name));
    }
    if (!records_.empty() && records_[0].size() != record.size())
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {}: the number of outputs changed", info_.name));
    records_.push_back(std::move(record));
    return {};
  }

  [[nodiscard]] std::int64_t count() const override {
    return static_cast<std::int64_t>(records_.size());
  }

 protected:
  [[nodiscard]] const std::vector<Sums>& record(std::int64_t i) const {
    return records_[static_cast<std::size_t>(i)];
  }

 private:
  Result<const Tensor*> find_reference(const Observation& s, const std::string& name) const {
    if (!s.reference.empty()) return pick_output(s.reference, name, info_.name);
    if (s.target != nullptr && options_.target.empty())
      for (const auto& [key, tensor] : s.target->arrays)
        if (key == name) return &tensor;
    if (s.target == nullptr || s.target->arrays.empty())
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {} compares with the float model; give it too", info_.name));
    return pick_target(s.target, options_.target, info_.name);
  }

  MetricOptions options_;
  bool all_outputs_;
  std::vector<std::vector<Sums>> records_;
};

class Sqnr final : public Fidelity {
 public:
  Sqnr(MetricInfo info, MetricOptions options)
      : Fidelity(std::move(info), std::move(options), /*all_outputs=*/true) {}

  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override {
    if (which.empty()) return kNoScore;
    double worst = std::numeric_limits<double>::infinity();
    for (std::size_t output = 0; output < record(which[0]).size(); ++output) {
      double signal = 0, noise = 0;
      for (const std::int64_t i : which) {
        signal += record(i)[output].reference;
        noise += record(i)[output].error;
      }
      if (signal == 0 && noise == 0) continue;  // Silence, met with silence.
      const double db = 10 * std::log10(signal / std::max(noise, 1e-30));
      worst = std::min(worst, db);
    }
    return worst;
  }
  [[nodiscard]] double score(std::int64_t sample) const override {
    return value_of(std::span(&sample, 1));
  }
};

class MeanFidelity final : public Fidelity {
 public:
  MeanFidelity(MetricInfo info, MetricOptions options, double (*of)(const Sums&))
      : Fidelity(std::move(info), std::move(options), /*all_outputs=*/false), of_(of) {}

  [[nodiscard]] double value_of(std::span<const std::int64_t> which) const override {
    double sum = 0;
    for (const std::int64_t i : which) sum += score(i);
    return which.empty() ? kNoScore : sum / static_cast<double>(which.size());
  }
  [[nodiscard]] double score(std::int64_t sample) const override { return of_(record(sample)[0]); }

 private:
  double (*of_)(const Sums&);
};

double cosine(const Sums& s) {
  if (!std::isfinite(s.error)) return 0;
  if (s.reference == 0 || s.output == 0) return s.reference == s.output ? 1 : 0;
  return s.product / std::sqrt(s.reference * s.output);
}

double mse(const Sums& s) { return s.count == 0 ? 0 : s.error / s.count; }

}  // namespace

std::unique_ptr<Metric> make_fidelity_metric(const std::string& name, MetricInfo info,
                                             const MetricOptions& options) {
  if (name == "sqnr") return std::make_unique<Sqnr>(std::move(info), options);
  if (name == "cosine") return std::make_unique<MeanFidelity>(std::move(info), options, &cosine);
  if (name == "mse") return std::make_unique<MeanFidelity>(std::move(info), options, &mse);
  return nullptr;
}

}  // namespace intact
