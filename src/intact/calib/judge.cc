#include "calib/judge.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "calib/run_graph.h"

namespace intact {
namespace {

constexpr int kDraws = 2000;
constexpr std::size_t kLeastForInterval = 5;
constexpr std::size_t kNoisiest = 3;
constexpr double kNothing = 200;  // dB when nothing differs.

std::size_t arg_max(std::span<const float> x) {
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

double decibels(double signal, double noise) {
  if (std::isnan(noise)) return -kNothing;
  return noise > 0 ? 10 * std::log10(std::max(signal, 1e-300) / noise) : kNothing;
}

// (23) of the samples with these indices.
double pooled(std::span<const SampleError> samples, std::span<const std::size_t> picks) {
  double worst = kNothing;
  const std::size_t outputs = samples.empty() ? 0 : samples[0].signal.size();
  for (std::size_t o = 0; o < outputs; ++o) {
    double signal = 0, noise = 0;
    for (const std::size_t k : picks) {
      signal += samples[k].signal[o];
      noise += samples[k].noise[o];
    }
    worst = std::min(worst, decibels(signal, noise));
  }
  return worst;
}

// Whether a Softmax over its last axis makes output o.
bool is_distribution(const Graph& graph, const Uses& uses, std::size_t o, std::size_t rank) {
  const std::int32_t n = uses.producer[static_cast<std::size_t>(graph.outputs[o])];
  if (n < 0 || !graph.nodes[static_cast<std::size_t>(n)].is("Softmax")) return false;
  const std::int64_t axis =
      graph.nodes[static_cast<std::size_t>(n)].get_int("axis", graph.opset() < 13 ? 1 : -1);
  return axis == -1 || axis == static_cast<std::int64_t>(rank) - 1;
}

std::vector<std::size_t> all_of(std::size_t n) {
  std::vector<std::size_t> picks(n);
  std::iota(picks.begin(), picks.end(), std::size_t{0});
  return picks;
}

void find_interval(Judgement& j) {
  j.sqnr_low = j.sqnr_high = j.sqnr_db;
  const std::size_t n = j.samples.size();
  if (n < kLeastForInterval) return;
  std::mt19937_64 random(
      1);  // Its numbers are the same everywhere; those of distributions are not.
  std::vector<double> draws(kDraws);
  std::vector<std::size_t> picks(n);
  for (double& draw : draws) {
    for (std::size_t& k : picks) k = static_cast<std::size_t>(random() % n);
    draw = pooled(j.samples, picks);
  }
  std::sort(draws.begin(), draws.end());
  j.sqnr_low = draws[kDraws / 40];
  j.sqnr_high = draws[kDraws - 1 - kDraws / 40];
}

void find_noisiest(Judgement& j) {
  if (j.samples.empty()) return;
  const std::size_t outputs = j.samples[0].signal.size();
  std::vector<double> noise(outputs, 0.0), signal(outputs, 0.0);
  for (const SampleError& s : j.samples)
    for (std::size_t o = 0; o < outputs; ++o) {
      noise[o] += s.noise[o];
      signal[o] += s.signal[o];
    }
  std::size_t worst = 0;
  for (std::size_t o = 1; o < outputs; ++o)
    if (decibels(signal[o], noise[o]) < decibels(signal[worst], noise[worst])) worst = o;
  if (outputs == 0 || !(noise[worst] > 0)) return;
  for (std::size_t k = 0; k < j.samples.size(); ++k)
    j.noisiest.emplace_back(k, j.samples[k].noise[worst] / noise[worst]);
  std::stable_sort(j.noisiest.begin(), j.noisiest.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  j.noisiest.resize(std::min(kNoisiest, j.noisiest.size()));
}

// Wilson's 95 % interval of `same` among `rows`.
void find_agreement(double same, double rows, Judgement& j) {
  const double p = same / rows;
  constexpr double z = 1.959963984540054;  // 97.5 % of the normal distribution lie below.
  const double scale = 1 + z * z / rows;
  const double mid = (p + z * z / (2 * rows)) / scale;
  const double half = z * std::sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows)) / scale;
  j.agreement = p;
  j.agreement_low = std::max(0.0, mid - half);
  j.agreement_high = std::min(1.0, mid + half);
}

}  // namespace

Result<SampleError> sample_error(std::span<const Tensor> exact, std::span<const Tensor> quantized) {
  SampleError error{std::vector<double>(exact.size(), 0.0), std::vector<double>(exact.size(), 0.0)};
  for (std::size_t o = 0; o < exact.size(); ++o) {
    if (exact[o].dtype() != Dtype::kFloat32 || quantized[o].dtype() != Dtype::kFloat32) continue;
    if (exact[o].shape() != quantized[o].shape())
      return fail(ErrorCode::kUnsupported, "output shapes differ");
    const auto x = exact[o].values<float>();
    const auto y = quantized[o].values<float>();
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double e = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      error.signal[o] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      error.noise[o] += e * e;
    }
  }
  return error;
}

double pooled_sqnr(std::span<const SampleError> samples) {
  return pooled(samples, all_of(samples.size()));
}

Result<Judgement> judge(const Graph& float_model, Graph quantized, const TensorSource& samples,
                        int threads, const Progress& progress) {
  INTACT_ASSIGN(const auto f, make_engine(float_model.clone(), {.threads = threads}));
  INTACT_ASSIGN(const auto q, make_engine(std::move(quantized), {.threads = threads}));
  const std::size_t outputs = float_model.outputs.size();
  const Uses uses = float_model.uses();
  double rows = 0, same = 0;
  Judgement j;
  INTACT_TRY(samples.restart());
  for (;;) {
    INTACT_TRY(progress.check());
    INTACT_ASSIGN(const auto sample, samples.next());
    if (!sample) break;
    INTACT_ASSIGN(const auto a, f->run(*sample));
    INTACT_ASSIGN(const auto b, q->run(*sample));
    INTACT_ASSIGN(auto error, sample_error(a, b));
    for (std::size_t o = 0; o < outputs; ++o) {
      const Shape& shape = a[o].shape();
      if (a[o].dtype() != Dtype::kFloat32 || b[o].dtype() != Dtype::kFloat32) continue;
      const bool classes_last =
          shape.size() == 2 || is_distribution(float_model, uses, o, shape.size());
      if (!classes_last || shape.back() < 2) continue;
      const auto x = a[o].values<float>();
      const auto y = b[o].values<float>();
      const auto classes = static_cast<std::size_t>(shape.back());
      for (std::size_t r = 0; r < x.size() / classes; ++r) {
        rows += 1;
        same += arg_max(x.subspan(r * classes, classes)) == arg_max(y.subspan(r * classes, classes))
                    ? 1.0
                    : 0.0;
      }
    }
    j.samples.push_back(std::move(error));
    progress("judge", samples.part(std::ssize(j.samples)));
  }
  j.sqnr_db = pooled_sqnr(j.samples);
  find_interval(j);
  find_noisiest(j);
  if (rows > 0) find_agreement(same, rows, j);
  j.intact = j.sqnr_low >= 20 || (j.sqnr_low >= 10 && j.agreement.value_or(0) >= 0.98);
  j.broken = j.sqnr_db < 10 && j.agreement.value_or(0) < 0.90;
  return j;
}

}  // namespace intact
