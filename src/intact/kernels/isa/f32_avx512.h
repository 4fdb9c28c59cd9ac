// f32_avx512.h: the float vocabulary of f32_scalar.h on 16 lanes.
#pragma once

// gcc 12 warns about its own _mm512_undefined_ps.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include "kernels/isa/f32_scalar.h"

namespace intact {

struct Avx512F32 {
  using V = __m512;
  using I = __m512i;
  using M = __mmask16;
  static constexpr int kLanes = 16;
  static constexpr IsaLevel kIsa = IsaLevel::kAvx512;

  [[gnu::always_inline]] static M first(int n) noexcept { return static_cast<M>((1u << n) - 1u); }
  [[gnu::always_inline]] static V load(const float* p) noexcept { return _mm512_loadu_ps(p); }
  [[gnu::always_inline]] static void store(float* p, V v) noexcept { _mm512_storeu_ps(p, v); }
  [[gnu::always_inline]] static V load_tail(const float* p, int n) noexcept {
    return _mm512_maskz_loadu_ps(first(n), p);
  }
  [[gnu::always_inline]] static V load_tail(const float* p, int n, V fill) noexcept {
    return _mm512_mask_loadu_ps(fill, first(n), p);
  }
  [[gnu::always_inline]] static void store_tail(float* p, V v, int n) noexcept {
    _mm512_mask_storeu_ps(p, first(n), v);
  }
  [[gnu::always_inline]] static V set(float x) noexcept { return _mm512_set1_ps(x); }
  [[gnu::always_inline]] static V broadcast(const float* p) noexcept { return set(*p); }

  [[gnu::always_inline]] static V add(V a, V b) noexcept { return _mm512_add_ps(a, b); }
  [[gnu::always_inline]] static V sub(V a, V b) noexcept { return _mm512_sub_ps(a, b); }
  [[gnu::always_inline]] static V mul(V a, V b) noexcept { return _mm512_mul_ps(a, b); }
  [[gnu::always_inline]] static V div(V a, V b) noexcept { return _mm512_div_ps(a, b); }
  [[gnu::always_inline]] static V sqrt(V a) noexcept { return _mm512_sqrt_ps(a); }
  [[gnu::always_inline]] static V fma(V a, V b, V c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  [[gnu::always_inline]] static V fnma(V a, V b, V c) noexcept { return _mm512_fnmadd_ps(a, b, c); }
  [[gnu::always_inline]] static V max(V a, V b) noexcept { return _mm512_max_ps(a, b); }
  [[gnu::always_inline]] static V min(V a, V b) noexcept { return _mm512_min_ps(a, b); }
  [[gnu::always_inline]] static V floor(V a) noexcept {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static V ceil(V a) noexcept {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static V round(V a) noexcept {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  [[gnu::always_inline]] static M lt(V a, V b) noexcept {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
  }
  [[gnu::always_inline]] static M le(V a, V b) noexcept {
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
  }
  [[gnu::always_inline]] static M eq(V a, V b) noexcept {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
  }
  [[gnu::always_inline]] static M is_nan(V a) noexcept {
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  }
  [[gnu::always_inline]] static M either(M a, M b) noexcept { return static_cast<M>(a | b); }
  [[gnu::always_inline]] static bool any(M a) noexcept { return a != 0; }
  [[gnu::always_inline]] static V select(M m, V yes, V no) noexcept {
    return _mm512_mask_blend_ps(m, no, yes);
  }

  [[gnu::always_inline]] static I bits(V a) noexcept { return _mm512_castps_si512(a); }
  [[gnu::always_inline]] static V from_bits(I a) noexcept { return _mm512_castsi512_ps(a); }
  [[gnu::always_inline]] static I iset(std::int32_t a) noexcept { return _mm512_set1_epi32(a); }
  [[gnu::always_inline]] static I iadd(I a, I b) noexcept { return _mm512_add_epi32(a, b); }
  [[gnu::always_inline]] static I isub(I a, I b) noexcept { return _mm512_sub_epi32(a, b); }
  [[gnu::always_inline]] static I iand(I a, I b) noexcept { return _mm512_and_si512(a, b); }
  [[gnu::always_inline]] static I ior(I a, I b) noexcept { return _mm512_or_si512(a, b); }
  template <int kShift>
  [[gnu::always_inline]] static I shl(I a) noexcept {
    return _mm512_slli_epi32(a, kShift);
  }
  template <int kShift>
  [[gnu::always_inline]] static I sar(I a) noexcept {
    return _mm512_srai_epi32(a, kShift);
  }
  [[gnu::always_inline]] static V to_float(I a) noexcept { return _mm512_cvtepi32_ps(a); }
  [[gnu::always_inline]] static V scale(V a, V n) noexcept { return _mm512_scalef_ps(a, n); }
  struct Table {
    V low, high;
  };
  [[gnu::always_inline]] static Table table(const float* t) noexcept {
    return {load(t), load(t + 16)};
  }
  [[gnu::always_inline]] static V look_up(const Table& t, I i) noexcept {
    return _mm512_permutex2var_ps(t.low, i, t.high);
  }
  template <int kBy>
  [[gnu::always_inline]] static V upper(V a) noexcept {
    static_assert(kBy == 1 || kBy == 2 || kBy == 4 || kBy == 8);
    if constexpr (kBy == 8) return _mm512_shuffle_f32x4(a, a, 0x4e);
    if constexpr (kBy == 4) return _mm512_shuffle_f32x4(a, a, 0x39);
    if constexpr (kBy == 2) return _mm512_permute_ps(a, 0x4e);
    return _mm512_permute_ps(a, 0x39);
  }
  struct D {
    __m512d low, high;
  };
  [[gnu::always_inline]] static D dzero() noexcept {
    return {_mm512_setzero_pd(), _mm512_setzero_pd()};
  }
  [[gnu::always_inline]] static D dadd(const D& a, V b) noexcept {
    return {_mm512_add_pd(a.low, _mm512_cvtps_pd(_mm512_castps512_ps256(b))),
            _mm512_add_pd(a.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(b, 1)))};
  }
  [[gnu::always_inline]] static void dstore(double* p, const D& a) noexcept {
    _mm512_storeu_pd(p, a.low);
    _mm512_storeu_pd(p + 8, a.high);
  }
  // Halves, where a vector is twice another ISA's: the lower from p or a, the upper from q or b.
  [[gnu::always_inline]] static V load_twice(const float* p) noexcept {
    return _mm512_broadcast_f32x8(_mm256_loadu_ps(p));
  }
  [[gnu::always_inline]] static V load_halves(const float* p, const float* q) noexcept {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(q), 1);
  }
  [[gnu::always_inline]] static V halves(V a, V b) noexcept {
    return _mm512_mask_blend_ps(static_cast<M>(0xff00), a, b);
  }
  [[gnu::always_inline]] static void store_halves(float* p, float* q, V v) noexcept {
    _mm256_storeu_ps(p, _mm512_castps512_ps256(v));
    _mm256_storeu_ps(q, _mm512_extractf32x8_ps(v, 1));
  }
  [[gnu::always_inline]] static V first_lane(V a) noexcept {
    return _mm512_broadcastss_ps(_mm512_castps512_ps128(a));
  }
  [[gnu::always_inline]] static void barrier(V& v) noexcept { asm volatile("" : "+v"(v)); }
};

}  // namespace intact
