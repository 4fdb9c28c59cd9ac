// unary_f32.inl.h: UnaryF32 (elementwise_f32.h) as functions of one vector.
#pragma once

#include "kernels/elementwise_f32.h"
#include "kernels/math_f32.inl.h"

namespace intact {

// Calls with(f), f the function from V to V that `u` names, if it is one of pieces of lines and
// parabolas (is_piecewise). Results are not canonized.
template <class S, class With>
[[gnu::always_inline]] inline void with_piecewise(const UnaryF32& u, With&& with) noexcept {
  using V = typename S::V;
  using Math = MathF32<S>;
  const V alpha = S::set(u.alpha), beta = S::set(u.beta);
  const V zero = S::set(0.0f);
  switch (u.op) {
    case UnaryOp::kLeakyRelu:
      return with([&](V v) { return S::select(S::lt(v, zero), S::mul(alpha, v), v); });
    case UnaryOp::kHardSigmoid:
      return with([&](V v) { return Math::hard_sigmoid(v, alpha, beta); });
    case UnaryOp::kHardSwish:
      return with([](V v) { return Math::hard_swish(v); });
    case UnaryOp::kHardSwish6:
      return with([](V v) { return Math::hard_swish6(v); });
    default:
      return;
  }
}

// The same for every activation (elementwise_f32.h).
template <class S, class With>
[[gnu::always_inline]] inline void with_activation(const UnaryF32& u, With&& with) noexcept {
  using V = typename S::V;
  using Math = MathF32<S>;
  const V alpha = S::set(u.alpha);
  const V zero = S::set(0.0f);
  switch (u.op) {
    case UnaryOp::kTanh:
      return with([](V v) { return Math::tanh(v); });
    case UnaryOp::kSigmoid:
      return with([](V v) { return Math::sigmoid(v); });
    case UnaryOp::kSilu:
      return with([](V v) { return S::mul(v, Math::sigmoid(v)); });
    case UnaryOp::kGelu:
      return with([](V v) { return Math::gelu(v); });
    case UnaryOp::kGeluTanh:
      return with([](V v) { return Math::gelu_tanh(v); });
    case UnaryOp::kSoftplus:
      return with([](V v) { return Math::softplus(v); });
    case UnaryOp::kElu:
      return with([&](V v) {
        const V below = S::mul(alpha, Math::expm1_negative(S::min(zero, v)));
        return S::select(S::lt(zero, v), v, below);
      });
    default:
      return with_piecewise<S>(u, with);
  }
}

// The same for every function but those that go through double (kSin, kCos).
template <class S, class With>
[[gnu::always_inline]] inline void with_unary(const UnaryF32& u, With&& with) noexcept {
  using V = typename S::V;
  using Math = MathF32<S>;
  const V alpha = S::set(u.alpha), beta = S::set(u.beta);
  const V zero = S::set(0.0f), one = S::set(1.0f);
  switch (u.op) {
    case UnaryOp::kRelu:
      return with([&](V v) { return S::max(zero, v); });
    case UnaryOp::kClip:
      return with([&](V v) { return Math::clamp(v, alpha, beta); });
    case UnaryOp::kAbs:
      return with([](V v) { return Math::abs(v); });
    case UnaryOp::kNeg:
      return with([](V v) { return Math::neg(v); });
    case UnaryOp::kFloor:
      return with([](V v) { return S::floor(v); });
    case UnaryOp::kCeil:
      return with([](V v) { return S::ceil(v); });
    case UnaryOp::kRound:
      return with([](V v) { return S::round(v); });
    case UnaryOp::kSqrt:
      return with([](V v) { return S::sqrt(v); });
    case UnaryOp::kReciprocal:
      return with([&](V v) { return S::div(one, v); });
    case UnaryOp::kSign:
      return with([](V v) { return Math::sign(v); });
    case UnaryOp::kExp:
      return with([](V v) { return Math::exp(v); });
    case UnaryOp::kLog:
      return with([](V v) { return Math::log(v); });
    case UnaryOp::kErf:
      return with([](V v) { return Math::erf(v); });
    default:
      return with_activation<S>(u, with);
  }
}

}  // namespace intact
