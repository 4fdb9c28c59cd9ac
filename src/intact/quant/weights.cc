#include "quant/weights.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/round.h"

namespace intact {
namespace {

constexpr int kMseSteps = 64;
constexpr int kPolishRounds = 4;

double to_double(float x) { return static_cast<double>(x); }

// Copies the elements of one channel into a dense row.
void gather(std::span<const float> w, const AxisView& view, std::size_t c,
            std::vector<float>& row) {
  row.resize(view.outer * view.inner);
  for (std::size_t o = 0; o < view.outer; ++o) {
    const auto from = w.begin() + static_cast<std::ptrdiff_t>((o * view.channels + c) * view.inner);
    std::copy_n(from, view.inner, row.begin() + static_cast<std::ptrdiff_t>(o * view.inner));
  }
}

// Returns max |w|, or NaN when a value is not finite.
double absmax(std::span<const float> row) {
  float top = 0.0f;
  bool finite = true;
  for (const float x : row) {
    finite = finite && std::isfinite(x);
    top = std::max(top, std::fabs(x));
  }
  return finite ? to_double(top) : std::nan("");
}

// The sums that E(s) and its least-squares polish need, for one s.
struct Fit {
  double error = 0.0;  // sum g (w - s q)^2
  double wq = 0.0;     // sum g w q
  double qq = 0.0;     // sum g q q
};

Fit fit(std::span<const float> row, std::span<const float> importance, double s, double top) {
  Fit f;
  const double inv = 1.0 / s;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double w = to_double(row[i]);
    const double g = importance.empty() ? 1.0 : to_double(importance[i]);
    double q = std::clamp(w * inv, -top, top);
    q = (q + 0x1.8p52) - 0x1.8p52;  // Half to even; |q| < 2^16.
    const double e = w - s * q;
    f.error += g * e * e;
    f.wq += g * w * q;
    f.qq += g * q * q;
  }
  return f;
}

// Returns the s of (4m).
double mse_scale(std::span<const float> row, std::span<const float> importance, double peak,
                 double top) {
  if (peak == 0.0) return 0.0;
  const double widest = peak / top;
  const double share =
      std::max(0.25, 1.0 - std::sqrt(static_cast<double>(row.size())) / (2.0 * top));
  double best_s = widest;
  Fit best = fit(row, importance, widest, top);
  for (int i = 1; i <= kMseSteps; ++i) {
    const double s = widest * (1.0 - (1.0 - share) * i / kMseSteps);
    const Fit f = fit(row, importance, s, top);
    if (f.error < best.error) best = f, best_s = s;
  }
  for (int i = 0; i < kPolishRounds && best.qq > 0.0; ++i) {
    const double s = best.wq / best.qq;
    if (!(s > 0.0)) break;
    const Fit f = fit(row, importance, s, top);
    if (!(f.error < best.error)) break;
    best = f, best_s = s;
  }
  return best_s;
}

Status check_options(const WeightOptions& options) {
  if (options.codes.hi < 1 || options.codes.lo != -options.codes.hi) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("weight codes [{}, {}] are not symmetric",
                                                         options.codes.lo, options.codes.hi));
  }
  return {};
}

// The second and third term of (4) for one channel.
Result<double> scale_floor(std::span<const float> bias, std::size_t c, float input_scale) {
  if (bias.empty()) return kMinWeightScale;
  if (!std::isfinite(bias[c])) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the bias of channel {} is not finite", c));
  }
  return std::max(kMinWeightScale,
                  std::fabs(to_double(bias[c])) / (to_double(input_scale) * 0x1p30));
}

Status check_input(std::span<const float> w, const AxisView& view, std::span<const float> bias,
                   float input_scale) {
  INTACT_CHECK(w.size() == view.size(), "{} weights in a view of {}", w.size(), view.size());
  INTACT_CHECK(bias.empty() || bias.size() == view.channels, "{} biases for {} channels",
               bias.size(), view.channels);
  if (!bias.empty() && !(std::isnormal(input_scale) && input_scale > 0.0f)) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("input scale {} is not a positive normal float", to_double(input_scale)));
  }
  return {};
}

tl::unexpected<Error> not_finite(std::size_t c) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("a weight of channel {} is not finite", c));
}

Result<float> to_scale(double s, std::size_t c) {
  const auto scale = static_cast<float>(s);
  if (!std::isfinite(scale)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("channel {} needs a scale of {}, more than a float holds", c, s));
  }
  return scale;
}

template <class Real>
Result<std::vector<std::int32_t>> bias_codes(std::span<const Real> bias, float input_scale,
                                             std::span<const float> weight_scales) {
  INTACT_CHECK(weight_scales.size() == bias.size() || weight_scales.size() == 1,
               "{} scales for {} biases", weight_scales.size(), bias.size());
  std::vector<std::int32_t> codes(bias.size());
  for (std::size_t n = 0; n < bias.size(); ++n) {
    const float s = weight_scales[weight_scales.size() == 1 ? 0 : n];
    const double q =
        round_half_even(static_cast<double>(bias[n]) / (to_double(input_scale) * to_double(s)));
    if (!(std::fabs(q) < 0x1p31)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("bias {} of channel {} needs the code {}, which int32 does not hold; "
                              "widen the weight scale of that channel",
                              static_cast<double>(bias[n]), n, q));
    }
    codes[n] = static_cast<std::int32_t>(q);
  }
  return codes;
}

}  // namespace

Result<std::vector<float>> choose_weight_scales(std::span<const float> w, const AxisView& view,
                                                std::span<const float> bias, float input_scale,
                                                const WeightOptions& options,
                                                std::span<const float> importance) {
  INTACT_TRY(check_options(options));
  INTACT_TRY(check_input(w, view, bias, input_scale));
  INTACT_CHECK(importance.empty() || importance.size() == view.outer * view.inner,
               "{} importances for {} weights a channel", importance.size(),
               view.outer * view.inner);
  const double top = options.codes.hi;
  std::vector<float> scales(view.channels);
  std::vector<float> row;
  for (std::size_t c = 0; c < view.channels; ++c) {
    gather(w, view, c, row);
    const double peak = absmax(row);
    if (std::isnan(peak)) return not_finite(c);
    INTACT_ASSIGN(const double floor, scale_floor(bias, c, input_scale));
    const double s =
        options.range == WeightRange::kMse ? mse_scale(row, importance, peak, top) : peak / top;
    INTACT_ASSIGN(scales[c], to_scale(std::max(s, floor), c));
    if (options.scales == ScaleSet::kAny) continue;
    const float below = scale_below(scales[c], options.scales);
    const auto error = [&](float scale) {
      return fit(row, importance, to_double(scale), top).error;
    };
    scales[c] = scale_above(scales[c], options.scales);
    if (to_double(below) >= floor && error(below) < error(scales[c])) scales[c] = below;
  }
  return scales;
}

Result<float> choose_weight_scale(std::span<const float> w, const AxisView& view,
                                  std::span<const float> bias, float input_scale,
                                  const WeightOptions& options) {
  INTACT_TRY(check_options(options));
  INTACT_TRY(check_input(w, view, bias, input_scale));
  const double top = options.codes.hi;
  double floor = kMinWeightScale;
  for (std::size_t c = 0; c < bias.size(); ++c) {
    INTACT_ASSIGN(const double needed, scale_floor(bias, c, input_scale));
    floor = std::max(floor, needed);
  }
  const double peak = absmax(w);
  if (std::isnan(peak)) {
    std::vector<float> row;
    for (std::size_t c = 0; c < view.channels; ++c) {
      gather(w, view, c, row);
      if (std::isnan(absmax(row))) return not_finite(c);
    }
  }
  const double s = options.range == WeightRange::kMse ? mse_scale(w, {}, peak, top) : peak / top;
  return to_scale(std::max(s, floor), 0);
}

Result<std::vector<float>> choose_group_scales(std::span<const float> w, const AxisView& view,
                                               std::size_t group, const WeightOptions& options) {
  INTACT_TRY(check_options(options));
  INTACT_CHECK(w.size() == view.size() && group > 0, "{} weights in a view of {}, groups of {}",
               w.size(), view.size(), group);
  const double top = options.codes.hi;
  const std::size_t groups = (view.channels + group - 1) / group;
  std::vector<float> scales(num_groups(view, group));
  std::vector<float> row;
  for (std::size_t o = 0; o < view.outer; ++o) {
    for (std::size_t g = 0; g < groups; ++g) {
      for (std::size_t i = 0; i < view.inner; ++i) {
        row.clear();
        for (std::size_t c = g * group; c < std::min((g + 1) * group, view.channels); ++c) {
          row.push_back(w[(o * view.channels + c) * view.inner + i]);
        }
        const double peak = absmax(row);
        if (std::isnan(peak)) return not_finite(g * group);
        const double s =
            options.range == WeightRange::kMse ? mse_scale(row, {}, peak, top) : peak / top;
        INTACT_ASSIGN(scales[(o * groups + g) * view.inner + i],
                      to_scale(std::max(s, kMinWeightScale), g * group));
      }
    }
  }
  return scales;
}

void quantize_weights(std::span<const float> w, const AxisView& view, std::span<const float> scales,
                      CodeRange codes, std::span<std::int8_t> q) {
  INTACT_CHECK(scales.size() == view.channels || scales.size() == 1, "{} scales for {} channels",
               scales.size(), view.channels);
  std::vector<Affine> maps(view.channels);
  for (std::size_t c = 0; c < view.channels; ++c) {
    maps[c] = {scales[scales.size() == 1 ? 0 : c], 0, codes};
  }
  quantize_channels<std::int8_t>(w, view, maps, q);
}

Result<std::vector<std::int32_t>> quantize_bias(std::span<const float> bias, float input_scale,
                                                std::span<const float> weight_scales) {
  return bias_codes(bias, input_scale, weight_scales);
}

Result<std::vector<std::int32_t>> quantize_bias(std::span<const double> bias, float input_scale,
                                                std::span<const float> weight_scales) {
  return bias_codes(bias, input_scale, weight_scales);
}

template <Code T>
std::optional<std::size_t> find_overflow(std::span<const T> w, const AxisView& view,
                                         std::span<const std::int32_t> weight_zero,
                                         std::span<const std::int32_t> bias, const Affine& input) {
  INTACT_CHECK(w.size() == view.size(), "{} weights in a view of {}", w.size(), view.size());
  INTACT_CHECK(weight_zero.size() <= 1 || weight_zero.size() == view.channels,
               "{} zero points for {} channels", weight_zero.size(), view.channels);
  INTACT_CHECK(bias.empty() || bias.size() == view.channels, "{} biases for {} channels",
               bias.size(), view.channels);
  const std::int64_t widest =
      std::max(input.zero_point - input.codes.lo, input.codes.hi - input.zero_point);
  for (std::size_t c = 0; c < view.channels; ++c) {
    const std::int64_t zero =
        weight_zero.empty() ? 0 : weight_zero[weight_zero.size() == 1 ? 0 : c];
    std::int64_t sum = 0;
    for (std::size_t o = 0; o < view.outer; ++o) {
      const std::size_t at = (o * view.channels + c) * view.inner;
      for (std::size_t i = 0; i < view.inner; ++i) {
        sum += std::abs(static_cast<std::int64_t>(w[at + i]) - zero);
      }
    }
    const std::int64_t b = bias.empty() ? 0 : std::abs(static_cast<std::int64_t>(bias[c]));
    if (sum * widest + b >= std::int64_t{1} << 31) return c;
  }
  return std::nullopt;
}

template std::optional<std::size_t> find_overflow(std::span<const std::int8_t>, const AxisView&,
                                                  std::span<const std::int32_t>,
                                                  std::span<const std::int32_t>, const Affine&);
template std::optional<std::size_t> find_overflow(std::span<const std::uint8_t>, const AxisView&,
                                                  std::span<const std::int32_t>,
                                                  std::span<const std::int32_t>, const Affine&);
template std::optional<std::size_t> find_overflow(std::span<const std::int16_t>, const AxisView&,
                                                  std::span<const std::int32_t>,
                                                  std::span<const std::int32_t>, const Affine&);
template std::optional<std::size_t> find_overflow(std::span<const std::uint16_t>, const AxisView&,
                                                  std::span<const std::int32_t>,
                                                  std::span<const std::int32_t>, const Affine&);

}  // namespace intact
