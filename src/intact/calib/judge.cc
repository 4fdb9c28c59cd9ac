#include "calib/judge.h"

#include <algorithm>
#include <cmath>

#include "calib/run_graph.h"

namespace intact {
namespace {

std::size_t arg_max(std::span<const float> x) {
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

}  // namespace

Result<Judgement> judge(const Graph& float_model, Graph quantized, const TensorSource& samples,
                        int threads, const Progress& progress) {
  INTACT_ASSIGN(const auto f, make_engine(float_model.clone(), threads));
  INTACT_ASSIGN(const auto q, make_engine(std::move(quantized), threads));
  const std::size_t outputs = float_model.outputs.size();
  std::vector<double> signal(outputs, 0.0), noise(outputs, 0.0);
  double rows = 0, same = 0;
  Judgement j;
  INTACT_TRY(samples.restart());
  for (;; ++j.samples) {
    INTACT_TRY(progress.check());
    INTACT_ASSIGN(const auto sample, samples.next());
    if (!sample) break;
    INTACT_ASSIGN(const auto a, f->run(*sample));
    INTACT_ASSIGN(const auto b, q->run(*sample));
    for (std::size_t o = 0; o < outputs; ++o) {
      if (a[o].dtype() != Dtype::kFloat32 || b[o].dtype() != Dtype::kFloat32) continue;
      if (a[o].shape() != b[o].shape())
        return fail(ErrorCode::kUnsupported, "output shapes differ");
      const auto x = a[o].values<float>();
      const auto y = b[o].values<float>();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double e = static_cast<double>(x[i]) - static_cast<double>(y[i]);
        signal[o] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        noise[o] += e * e;
      }
      const Shape& shape = a[o].shape();
      if (shape.size() != 2 || shape[1] < 2) continue;
      const auto classes = static_cast<std::size_t>(shape[1]);
      for (std::size_t r = 0; r < static_cast<std::size_t>(shape[0]); ++r) {
        rows += 1;
        same += arg_max(x.subspan(r * classes, classes)) == arg_max(y.subspan(r * classes, classes))
                    ? 1.0
                    : 0.0;
      }
    }
    progress("judge", 0);
  }
  j.sqnr_db = 200;
  for (std::size_t o = 0; o < outputs; ++o) {
    if (!(noise[o] > 0)) {
      if (std::isnan(noise[o])) j.sqnr_db = -200;
      continue;
    }
    j.sqnr_db = std::min(j.sqnr_db, 10 * std::log10(std::max(signal[o], 1e-300) / noise[o]));
  }
  if (rows > 0) {
    const double p = same / rows;
    constexpr double z = 1.959963984540054;  // 97.5 % of the normal distribution lie below.
    const double scale = 1 + z * z / rows;
    const double mid = (p + z * z / (2 * rows)) / scale;
    const double half = z * std::sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows)) / scale;
    j.agreement = p;
    j.agreement_low = std::max(0.0, mid - half);
    j.agreement_high = std::min(1.0, mid + half);
  }
  j.intact = j.sqnr_db >= 20 || (j.sqnr_db >= 10 && j.agreement.value_or(0) >= 0.98);
  j.broken = j.sqnr_db < 10 && j.agreement.value_or(0) < 0.90;
  return j;
}

}  // namespace intact
