#include "kernels/near_activation.h"

#include <bit>
#include <cstdint>

#include "kernels/isa/f32_scalar.h"
#include "kernels/unary_f32.inl.h"

namespace intact {
namespace {

// r(|x|) of equation (1) at v: what the float function gives for -|x|.
double rest_at(UnaryOp op, double v, float step) {
  const auto size = static_cast<float>((v - 1) / static_cast<double>(step));
  double r = 0.0;
  with_activation<ScalarF32>({op}, [&](auto g) { r = -static_cast<double>(g(-size)); });
  return r;
}

// Cubics through r at the Chebyshev points of each segment: nearly the least error there is.
NearActivation fit(UnaryOp op, float step) {
  constexpr double kOuter = 0.9238795325112867, kInner = 0.3826834323650898;  // cos of 1, 3 pi/8
  constexpr double kPoints[4] = {-kOuter, -kInner, kInner, kOuter};
  NearActivation g{};
  g.step = step;
  g.limit = 14.999f / step;
  for (int i = 0; i < NearActivation::kSegments; ++i) {
    const double octave = 1 << (i / 8);
    const double half = octave / 16, middle = octave * (1 + i % 8 / 8.0) + half;
    double v[4], y[4];
    for (int p = 0; p < 4; ++p) {
      v[p] = middle + half * kPoints[p];
      y[p] = rest_at(op, v[p], step);
    }
    // Divided differences, then the polynomial in v itself.
    for (int order = 1; order < 4; ++order)
      for (int p = 3; p >= order; --p) y[p] = (y[p] - y[p - 1]) / (v[p] - v[p - order]);
    double c[4] = {y[3], 0, 0, 0};
    for (int p = 2; p >= 0; --p) {
      for (int k = 3; k > 0; --k) c[k] = c[k - 1] - v[p] * c[k];
      c[0] = y[p] - v[p] * c[0];
    }
    const auto s = std::bit_cast<std::uint32_t>(static_cast<float>(middle)) >> 20 & 31;
    for (int k = 0; k < 4; ++k) g.c[k][s] = static_cast<float>(c[k]);
  }
  return g;
}

}  // namespace

const NearActivation* near_activation(UnaryOp op) {
  // The step that balances the segments' errors against what is left at the limit.
  static const NearActivation gelu = fit(UnaryOp::kGelu, 2.75f);
  static const NearActivation gelu_tanh = fit(UnaryOp::kGeluTanh, 2.75f);
  static const NearActivation silu = fit(UnaryOp::kSilu, 0.9f);
  static const NearActivation softplus = fit(UnaryOp::kSoftplus, 1.0f);
  switch (op) {
    case UnaryOp::kGelu:
      return &gelu;
    case UnaryOp::kGeluTanh:
      return &gelu_tanh;
    case UnaryOp::kSilu:
      return &silu;
    case UnaryOp::kSoftplus:
      return &softplus;
    default:
      return nullptr;
  }
}

}  // namespace intact
