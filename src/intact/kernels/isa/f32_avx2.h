// f32_avx2.h: the float vocabulary of f32_scalar.h on 8 lanes, AVX2 and FMA.
#pragma once

#include <immintrin.h>

#include "kernels/isa/f32_scalar.h"

namespace intact {

struct Avx2F32 {
  using V = __m256;
  using I = __m256i;
  using M = __m256;  // All ones or all zeros per lane.
  static constexpr int kLanes = 8;
  static constexpr IsaLevel kIsa = IsaLevel::kAvx2;

  [[gnu::always_inline]] static __m256i first(int n) noexcept {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  [[gnu::always_inline]] static V load(const float* p) noexcept { return _mm256_loadu_ps(p); }
  [[gnu::always_inline]] static void store(float* p, V v) noexcept { _mm256_storeu_ps(p, v); }
  [[gnu::always_inline]] static V load_tail(const float* p, int n) noexcept {
    return _mm256_maskload_ps(p, first(n));
  }
  [[gnu::always_inline]] static V load_tail(const float* p, int n, V fill) noexcept {
    const __m256i m = first(n);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
  }
  [[gnu::always_inline]] static void store_tail(float* p, V v, int n) noexcept {
    _mm256_maskstore_ps(p, first(n), v);
  }
  [[gnu::always_inline]] static V set(float x) noexcept { return _mm256_set1_ps(x); }
  [[gnu::always_inline]] static V broadcast(const float* p) noexcept { return set(*p); }

  [[gnu::always_inline]] static V add(V a, V b) noexcept { return _mm256_add_ps(a, b); }
  [[gnu::always_inline]] static V sub(V a, V b) noexcept { return _mm256_sub_ps(a, b); }
  [[gnu::always_inline]] static V mul(V a, V b) noexcept { return _mm256_mul_ps(a, b); }
  [[gnu::always_inline]] static V div(V a, V b) noexcept { return _mm256_div_ps(a, b); }
  [[gnu::always_inline]] static V sqrt(V a) noexcept { return _mm256_sqrt_ps(a); }
  [[gnu::always_inline]] static V fma(V a, V b, V c) noexcept { return _mm256_fmadd_ps(a, b, c); }
  [[gnu::always_inline]] static V fnma(V a, V b, V c) noexcept { return _mm256_fnmadd_ps(a, b, c); }
  [[gnu::always_inline]] static V max(V a, V b) noexcept { return _mm256_max_ps(a, b); }
  [[gnu::always_inline]] static V min(V a, V b) noexcept { return _mm256_min_ps(a, b); }
  [[gnu::always_inline]] static V floor(V a) noexcept {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static V ceil(V a) noexcept {
    return _mm256_round_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static V round(V a) noexcept {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  [[gnu::always_inline]] static M lt(V a, V b) noexcept { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  [[gnu::always_inline]] static M le(V a, V b) noexcept { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  [[gnu::always_inline]] static M eq(V a, V b) noexcept { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  [[gnu::always_inline]] static M is_nan(V a) noexcept { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
  [[gnu::always_inline]] static M either(M a, M b) noexcept { return _mm256_or_ps(a, b); }
  [[gnu::always_inline]] static V select(M m, V yes, V no) noexcept {
    return _mm256_blendv_ps(no, yes, m);
  }

  [[gnu::always_inline]] static I bits(V a) noexcept { return _mm256_castps_si256(a); }
  [[gnu::always_inline]] static V from_bits(I a) noexcept { return _mm256_castsi256_ps(a); }
  [[gnu::always_inline]] static I iset(std::int32_t a) noexcept { return _mm256_set1_epi32(a); }
  [[gnu::always_inline]] static I iadd(I a, I b) noexcept { return _mm256_add_epi32(a, b); }
  [[gnu::always_inline]] static I isub(I a, I b) noexcept { return _mm256_sub_epi32(a, b); }
  [[gnu::always_inline]] static I iand(I a, I b) noexcept { return _mm256_and_si256(a, b); }
  [[gnu::always_inline]] static I ior(I a, I b) noexcept { return _mm256_or_si256(a, b); }
  template <int kShift>
  [[gnu::always_inline]] static I shl(I a) noexcept {
    return _mm256_slli_epi32(a, kShift);
  }
  template <int kShift>
  [[gnu::always_inline]] static I sar(I a) noexcept {
    return _mm256_srai_epi32(a, kShift);
  }
  [[gnu::always_inline]] static V to_float(I a) noexcept { return _mm256_cvtepi32_ps(a); }
  template <int kBy>
  [[gnu::always_inline]] static V upper(V a) noexcept {
    static_assert(kBy == 1 || kBy == 2 || kBy == 4);
    if constexpr (kBy == 4) return _mm256_permute2f128_ps(a, a, 0x01);
    if constexpr (kBy == 2) return _mm256_permute_ps(a, 0x4e);
    return _mm256_permute_ps(a, 0x39);
  }
  struct D {
    __m256d low, high;
  };
  [[gnu::always_inline]] static D dzero() noexcept {
    return {_mm256_setzero_pd(), _mm256_setzero_pd()};
  }
  [[gnu::always_inline]] static D dadd(const D& a, V b) noexcept {
    return {_mm256_add_pd(a.low, _mm256_cvtps_pd(_mm256_castps256_ps128(b))),
            _mm256_add_pd(a.high, _mm256_cvtps_pd(_mm256_extractf128_ps(b, 1)))};
  }
  [[gnu::always_inline]] static void dstore(double* p, const D& a) noexcept {
    _mm256_storeu_pd(p, a.low);
    _mm256_storeu_pd(p + 4, a.high);
  }
  [[gnu::always_inline]] static V first_lane(V a) noexcept {
    return _mm256_broadcastss_ps(_mm256_castps256_ps128(a));
  }
  [[gnu::always_inline]] static void barrier(V& v) noexcept { asm volatile("" : "+x"(v)); }
};

}  // namespace intact
