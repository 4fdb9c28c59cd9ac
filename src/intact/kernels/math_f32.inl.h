// math_f32.inl.h: float functions from the vocabulary's words, the same bits on every ISA.
//
// Coefficients: scripts/fit_math_f32.py. Domains and errors: elementwise_f32.h. No function here
// canonizes NaN; canon() does, before a store.
#pragma once

#include <cstdint>
#include <limits>

namespace intact {

template <class S>
struct MathF32 {
  using V = typename S::V;
  using I = typename S::I;
  using M = typename S::M;

  [[gnu::always_inline]] static V canon(V x) noexcept {
    return S::select(S::is_nan(x), S::set(std::numeric_limits<float>::quiet_NaN()), x);
  }
  [[gnu::always_inline]] static V abs(V x) noexcept {
    return S::from_bits(S::iand(S::bits(x), S::iset(0x7fffffff)));
  }
  [[gnu::always_inline]] static V neg(V x) noexcept {
    return S::from_bits(
        S::isub(S::bits(x), S::iset(std::numeric_limits<std::int32_t>::min())));  // Flips bit 31.
  }
  // |magnitude| with the sign of x; magnitude >= 0.
  [[gnu::always_inline]] static V with_sign(V magnitude, V x) noexcept {
    const I sign = S::iand(S::bits(x), S::iset(std::numeric_limits<std::int32_t>::min()));
    return S::from_bits(S::ior(S::bits(magnitude), sign));
  }
  // min(max(x, lo), hi), NaN stays.
  [[gnu::always_inline]] static V clamp(V x, V lo, V hi) noexcept {
    return S::min(hi, S::max(lo, x));
  }

  // c[0] + c[1] x + ... by Horner's rule.
  template <int kTerms>
  [[gnu::always_inline]] static V poly(const float (&c)[kTerms], V x) noexcept {
    V p = S::set(c[kTerms - 1]);
#pragma GCC unroll 16
    for (int i = kTerms - 2; i >= 0; --i) p = S::fma(p, x, S::set(c[i]));
    return p;
  }

  // x = n ln 2 + r with |r| <= ln 2 / 2 (1 + 2^-20); |x| <= 2^20. Returns n as float and as int.
  struct Reduced {
    V r;
    V n;
    I n_int;
  };
  [[gnu::always_inline]] static Reduced reduce_ln2(V x) noexcept {
    // Adding 1.5 2^23 leaves the integer nearest to x log2(e) in the low bits.
    const V magic = S::set(12582912.0f);
    const V t = S::fma(x, S::set(0x1.715476p+0f), magic);
    const V n = S::sub(t, magic);
    V r = S::fnma(n, S::set(0x1.62e43p-1f), x);
    r = S::fnma(n, S::set(-0x1.05c61p-29f), r);
    return {r, n, S::isub(S::bits(t), S::bits(magic))};
  }
  // 2^n for n in [-126, 127].
  [[gnu::always_inline]] static V pow2(I n) noexcept {
    return S::from_bits(S::template shl<23>(S::iadd(n, S::iset(127))));
  }
  // p 2^n, rounded once.
  [[gnu::always_inline]] static V scale(V p, const Reduced& d) noexcept {
    if constexpr (requires { S::scale(p, d.n); }) {
      return S::scale(p, d.n);
    } else {
      // Two steps, because 2^n itself may be a denormal or infinite; only the last one rounds.
      const I half = S::template sar<1>(d.n_int);
      return S::mul(S::mul(p, pow2(half)), pow2(S::isub(d.n_int, half)));
    }
  }
  // exp(r) - 1 for a reduced r.
  [[gnu::always_inline]] static V expm1_reduced(V r) noexcept {
    // exp(r) = 1 + r + r^2 Q(r), error 2^-28.2.
    constexpr float kQ[] = {0x1p-1f, 0x1.55549p-3f, 0x1.5554bep-5f, 0x1.123b18p-7f,
                            0x1.6d7ca6p-10f};
    return S::fma(S::mul(r, r), poly(kQ, r), r);
  }

  [[gnu::always_inline]] static V exp(V x) noexcept {
    // exp(89) overflows and exp(-104) is below half the least denormal.
    const Reduced d = reduce_ln2(clamp(x, S::set(-104.0f), S::set(89.0f)));
    const V p = S::add(S::set(1.0f), expm1_reduced(d.r));
    return scale(p, d);
  }

  // exp(x) - 1 for x <= 0.
  [[gnu::always_inline]] static V expm1_negative(V x) noexcept {
    const Reduced d = reduce_ln2(S::max(S::set(-40.0f), x));
    const V s = pow2(d.n_int);
    return S::fma(expm1_reduced(d.r), s, S::sub(s, S::set(1.0f)));
  }

  [[gnu::always_inline]] static V log(V x) noexcept {
    constexpr float kP[] = {0x1.555548p-2f,  -0x1.000006p-2f, 0x1.99a476p-3f,
                            -0x1.555c46p-3f, 0x1.233ba6p-3f,  -0x1.fc287ap-4f,
                            0x1.e6bf64p-4f,  -0x1.de0362p-4f, 0x1.147684p-4f};
    const float inf = std::numeric_limits<float>::infinity();
    // A denormal is scaled by 2^24 first.
    const M tiny = S::lt(x, S::set(0x1p-126f));
    const V y = S::select(tiny, S::mul(x, S::set(0x1p24f)), x);
    const V scaled = S::select(tiny, S::set(-24.0f), S::set(0.0f));
    // y = 2^e m with m in [sqrt 1/2, sqrt 2).
    const I root = S::iset(0x3f3504f3);
    const I e = S::template sar<23>(S::isub(S::bits(y), root));
    const V f = S::sub(S::from_bits(S::isub(S::bits(y), S::template shl<23>(e))), S::set(1.0f));
    const V ef = S::add(S::to_float(e), scaled);
    // log(1 + f) = f + (f^3 P(f) - f^2 / 2), error 2^-30.3.
    const V f2 = S::mul(f, f);
    V q = S::mul(S::mul(f2, f), poly(kP, f));
    q = S::fma(ef, S::set(-0x1.05c61p-29f), q);
    q = S::fnma(S::set(0.5f), f2, q);
    V r = S::fma(ef, S::set(0x1.62e43p-1f), S::add(f, q));
    r = S::select(S::lt(x, S::set(0.0f)), S::set(std::numeric_limits<float>::quiet_NaN()), r);
    r = S::select(S::eq(x, S::set(0.0f)), S::set(-inf), r);
    r = S::select(S::eq(x, S::set(inf)), x, r);
    return S::select(S::is_nan(x), x, r);
  }

  // log(1 + u) for u in [0, 1].
  [[gnu::always_inline]] static V log1p_unit(V u) noexcept {
    constexpr float kR[] = {0x1.555556p-1f, 0x1.9998fep-2f, 0x1.24a8a8p-2f,
                            0x1.c48494p-3f, 0x1.815f5cp-3f, 0x1.56fb8cp-3f};
    // log(1 + u) = 2 s + s^3 R(s^2) = u - s (u - s^2 R), s = u / (2 + u), error 2^-35.
    const V s = S::div(u, S::add(S::set(2.0f), u));
    const V z = S::mul(s, s);
    return S::fnma(s, S::fnma(z, poly(kR, z), u), u);
  }

  [[gnu::always_inline]] static V tanh(V x) noexcept {
    constexpr float kT[] = {-0x1.555552p-2f, 0x1.110fe6p-3f,  -0x1.b9d594p-5f,
                            0x1.627f2p-6f,   -0x1.06e798p-7f, 0x1.06e758p-9f};
    const V a = abs(x);
    const V z = S::mul(x, x);
    const V small = S::fma(S::mul(x, z), poly(kT, z), x);
    const V e = exp(S::add(a, a));
    const V big = S::sub(S::set(1.0f), S::div(S::set(2.0f), S::add(e, S::set(1.0f))));
    return S::select(S::lt(a, S::set(0.625f)), small, with_sign(big, x));
  }

  [[gnu::always_inline]] static V sigmoid(V x) noexcept {
    const V e = exp(neg(abs(x)));
    const V one = S::set(1.0f);
    return S::div(S::select(S::lt(x, S::set(0.0f)), e, one), S::add(one, e));
  }

  [[gnu::always_inline]] static V erf(V x) noexcept {
    constexpr float kE[] = {0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2c64p-4f,  -0x1.b7dabp-6f,
                            0x1.51c7e8p-8f, -0x1.7d089p-11f, 0x1.9ea264p-19f, 0x1.e7efe6p-16f};
    constexpr float kQ[] = {0x1.a1c1e8p+2f,   0x1.3881aep+2f,  0x1.dea6dp-1f,
                            0x1.b3bae8p-7f,   -0x1.6eab78p-9f, 0x1.1e8c28p-11f,
                            -0x1.62d4bep-14f, 0x1.27001ap-15f, 0x1.c2cfap-19f};
    const V a = abs(x);
    // |x| < 0.9: x + x E(x^2), error 2^-29.7.
    const V small = S::fma(x, poly(kE, S::mul(x, x)), x);
    // else 1 - exp(-q(|x| - 2.25)); beyond 4 the result is 1.
    const V d = S::sub(S::min(S::set(4.0f), a), S::set(2.25f));
    const V big = S::sub(S::set(1.0f), exp(neg(poly(kQ, d))));
    return S::select(S::lt(a, S::set(0.9f)), small, with_sign(big, x));
  }

  [[gnu::always_inline]] static V softplus(V x) noexcept {
    return S::add(S::max(S::set(0.0f), x), log1p_unit(exp(neg(abs(x)))));
  }
  // 0.5 x (1 + erf(x / sqrt 2)): near 0 it is x / 2 that must be exact, not erf, so one expression
  // serves all of erf.
  [[gnu::always_inline]] static V gelu(V x) noexcept {
    // erf(u / sqrt 2) = 1 - exp(-u G(u)), absolute error 2^-28.4; from 4 sqrt 2 on it is 1.
    constexpr float kG[] = {0x1.988458p-1f,   0x1.45f274p-2f,   0x1.29c08p-5f,
                            -0x1.3b178ap-8f,  -0x1.9c0718p-18f, 0x1.977348p-13f,
                            -0x1.ab30b8p-15f, 0x1.af2570p-18f,  -0x1.6cbbc8p-22f};
    const V u = S::min(S::set(0x1.6a09e6p+2f), abs(x));
    const V t = S::sub(S::set(1.0f), exp(neg(S::mul(u, poly(kG, u)))));
    return S::mul(S::mul(S::set(0.5f), x), S::add(S::set(1.0f), with_sign(t, x)));
  }
  // 0.5 x (1 + tanh(v)) = x sigmoid(2 v), v = sqrt(2 / pi) (x + 0.044715 x^3).
  [[gnu::always_inline]] static V gelu_tanh(V x) noexcept {
    const V inner = S::fma(S::mul(S::mul(x, x), S::set(0.044715f)), x, x);
    return S::mul(x, sigmoid(S::mul(inner, S::set(0x1.988454p+0f))));
  }
  // As other engines round them: every operation by itself.
  [[gnu::always_inline]] static V hard_sigmoid(V x, V alpha, V beta) noexcept {
    return clamp(S::add(S::mul(alpha, x), beta), S::set(0.0f), S::set(1.0f));
  }
  [[gnu::always_inline]] static V hard_swish(V x) noexcept {
    return S::mul(x, hard_sigmoid(x, S::set(0x1.555556p-3f), S::set(0.5f)));
  }
  [[gnu::always_inline]] static V hard_swish6(V x) noexcept {
    const V gate = clamp(S::add(x, S::set(3.0f)), S::set(0.0f), S::set(6.0f));
    return S::div(S::mul(x, gate), S::set(6.0f));
  }
  // The same for |x| <= 2^60, but for denormals: the product with 1/6 in two parts. No sixth of a
  // float is nearer than 1/6 ulp to the middle of two floats, so the last rounding is the
  // quotient's.
  [[gnu::always_inline]] static V hard_swish6_small(V x) noexcept {
    const V gate = clamp(S::add(x, S::set(3.0f)), S::set(0.0f), S::set(6.0f));
    const V product = S::mul(x, gate);
    const V low = S::mul(product, S::set(-0x1.555556p-28f));
    return S::fma(product, S::set(0x1.555556p-3f), low);
  }
  [[gnu::always_inline]] static V sign(V x) noexcept {
    const V one = with_sign(S::set(1.0f), x);
    return S::select(S::either(S::eq(x, S::set(0.0f)), S::is_nan(x)), x, one);
  }
};

}  // namespace intact
