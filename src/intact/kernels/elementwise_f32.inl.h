// elementwise_f32.inl.h: the loops of elementwise_f32.h over a float vocabulary.
#pragma once

#include <cstdint>

#include "kernels/double_math.h"
#include "kernels/elementwise_f32.h"
#include "kernels/unary_f32.inl.h"

namespace intact {

template <class S>
struct ElementwiseF32 {
  using V = typename S::V;
  using Math = MathF32<S>;

  template <class F>
  [[gnu::always_inline]] static void map(const float* x, float* y, std::int64_t n, F f) noexcept {
    std::int64_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) S::store(y + i, Math::canon(f(S::load(x + i))));
    if (i < n) {
      const int count = static_cast<int>(n - i);
      S::store_tail(y + i, Math::canon(f(S::load_tail(x + i, count))), count);
    }
  }

  static void unary(const UnaryF32& f, const float* x, float* y, std::int64_t n) noexcept {
    if (f.op == UnaryOp::kSin)
      for (std::int64_t i = 0; i < n; ++i) y[i] = dmath::sin_f32(x[i]);
    else if (f.op == UnaryOp::kCos)
      for (std::int64_t i = 0; i < n; ++i) y[i] = dmath::cos_f32(x[i]);
    else
      with_unary<S>(f, [&](auto g) { map(x, y, n, g); });
  }

  // An operand's element c: from memory, or one value for the whole row.
  template <bool kVary>
  struct Operand {
    const float* p;
    V value;
    [[gnu::always_inline]] explicit Operand(const float* row) noexcept : p(row) {
      if constexpr (!kVary) value = S::set(*row);
    }
    [[gnu::always_inline]] V at(std::int64_t c) const noexcept {
      return kVary ? S::load(p + c) : value;
    }
    [[gnu::always_inline]] V tail(std::int64_t c, int n) const noexcept {
      return kVary ? S::load_tail(p + c, n) : value;
    }
  };

  template <bool kVaryA, bool kVaryB, class F>
  [[gnu::always_inline]] static void combine(const BinaryF32Args& args, F f) noexcept {
    if (args.cols == 0) return;
    for (std::int64_t r = 0; r < args.rows; ++r) {
      const Operand<kVaryA> a(args.a + r * args.a_row);
      const Operand<kVaryB> b(args.b + r * args.b_row);
      float* y = args.y + r * args.y_row;
      std::int64_t c = 0;
      for (; c + S::kLanes <= args.cols; c += S::kLanes)
        S::store(y + c, Math::canon(f(a.at(c), b.at(c))));
      if (c < args.cols) {
        const int left = static_cast<int>(args.cols - c);
        S::store_tail(y + c, Math::canon(f(a.tail(c, left), b.tail(c, left))), left);
      }
    }
  }
  template <class F>
  [[gnu::always_inline]] static void dispatch(const BinaryF32Args& args, F f) noexcept {
    if (args.a_col != 0 && args.b_col != 0) return combine<true, true>(args, f);
    if (args.a_col != 0) return combine<true, false>(args, f);
    if (args.b_col != 0) return combine<false, true>(args, f);
    combine<false, false>(args, f);
  }

  static void binary(const BinaryF32Args& args) noexcept {
    switch (args.op) {
      case BinaryOp::kAdd:
        return dispatch(args, [](V a, V b) { return S::add(a, b); });
      case BinaryOp::kSub:
        return dispatch(args, [](V a, V b) { return S::sub(a, b); });
      case BinaryOp::kMul:
        return dispatch(args, [](V a, V b) { return S::mul(a, b); });
      case BinaryOp::kDiv:
        return dispatch(args, [](V a, V b) { return S::div(a, b); });
      case BinaryOp::kMin:
        return dispatch(args, [](V a, V b) { return S::select(S::is_nan(a), a, S::min(a, b)); });
      case BinaryOp::kMax:
        return dispatch(args, [](V a, V b) { return S::select(S::is_nan(a), a, S::max(a, b)); });
      case BinaryOp::kPrelu:
        return dispatch(
            args, [](V a, V b) { return S::select(S::lt(a, S::set(0.0f)), S::mul(a, b), a); });
      case BinaryOp::kPow:
        for (std::int64_t r = 0; r < args.rows; ++r)
          for (std::int64_t c = 0; c < args.cols; ++c)
            args.y[r * args.y_row + c] = dmath::pow_f32(args.a[r * args.a_row + c * args.a_col],
                                                        args.b[r * args.b_row + c * args.b_col]);
        return;
    }
  }
};

}  // namespace intact
