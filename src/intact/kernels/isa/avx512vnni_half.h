// isa/avx512vnni_half.h: the words that depthwise needs (isa/scalar.h), on 256-bit registers: for
// up to 32 channels, half the work.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/avx512vnni.h"
#include "kernels/isa/f32_avx2.h"

namespace intact {

struct Avx512VnniHalf {
  static constexpr int kLanes = 8;
  static constexpr int kAOffset = 0;
  using I32 = __m256i;
  using F32 = __m256;
  using Floats = Avx2F32;

  [[gnu::always_inline]] static inline I32 load_i32(const std::int32_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  [[gnu::always_inline]] static inline F32 set_f32(float x) noexcept { return _mm256_set1_ps(x); }
  [[gnu::always_inline]] static inline F32 to_f32(I32 x) noexcept { return _mm256_cvtepi32_ps(x); }
  [[gnu::always_inline]] static inline I32 to_i32(F32 x) noexcept { return _mm256_cvtps_epi32(x); }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) noexcept {
    return _mm256_mul_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) noexcept {
    return _mm256_add_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 fma(F32 a, F32 b, F32 c) noexcept {
    return _mm256_fmadd_ps(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static inline F32 apply(const F& f, F32 x) noexcept {
    return f(x);
  }
  [[gnu::always_inline]] static inline F32 min(F32 a, F32 b) noexcept {
    return _mm256_min_ps(a, b);
  }
  struct CodeConsts {
    __m256i zero;  // int16 lanes
    __m256i lo;    // u8 lanes
    __m256i hi;
    bool bounded;  // Packing saturates to [0, 255] already.
  };
  [[gnu::always_inline]] static inline CodeConsts code_consts(std::int32_t zero, std::int32_t lo,
                                                              std::int32_t hi) noexcept {
    return {_mm256_set1_epi16(static_cast<short>(zero)), _mm256_set1_epi8(static_cast<char>(lo)),
            _mm256_set1_epi8(static_cast<char>(hi)), lo != 0 || hi != 255};
  }

  static constexpr bool kDwSlides = true;
  static constexpr int kDwVecs = 4;
  static constexpr int kDwBlock = 32;
  static constexpr int kDwWeightBytes = 128;
  static constexpr int dw_channel(int vec, int lane) noexcept {
    return 16 * (lane / 4) + 4 * vec + lane % 4;
  }
  static void dw_put_weight(std::byte* group, int channel, int row, int w) noexcept {
    const int vec = channel % 16 / 4;
    const int lane = channel / 16 * 4 + channel % 4;
    group[vec * 32 + lane * 4 + row] = std::byte(static_cast<std::uint8_t>(w));
  }
  struct Column {
    __m256i v[4];
  };
  template <int kRows>
  [[gnu::always_inline]] static inline void dw_column(Column& d,
                                                      const std::uint8_t* const (&p)[4]) noexcept {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i r0 = load32(p[0]);
    const __m256i r1 = kRows > 1 ? load32(p[1]) : zero;
    const __m256i r2 = kRows > 2 ? load32(p[2]) : zero;
    const __m256i r3 = kRows > 3 ? load32(p[3]) : zero;
    const __m256i lo01 = _mm256_unpacklo_epi8(r0, r1);
    const __m256i hi01 = _mm256_unpackhi_epi8(r0, r1);
    const __m256i lo23 = kRows > 2 ? _mm256_unpacklo_epi8(r2, r3) : zero;
    const __m256i hi23 = kRows > 2 ? _mm256_unpackhi_epi8(r2, r3) : zero;
    d.v[0] = _mm256_unpacklo_epi16(lo01, lo23);
    d.v[1] = _mm256_unpackhi_epi16(lo01, lo23);
    d.v[2] = _mm256_unpacklo_epi16(hi01, hi23);
    d.v[3] = _mm256_unpackhi_epi16(hi01, hi23);
  }
  static constexpr int kDwHeldWeights = 12;
  using DwWeight = __m256i;
  [[gnu::always_inline]] static inline DwWeight dw_weight(const std::byte* group,
                                                          int vec) noexcept {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(group + 32 * vec));
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   DwWeight w) noexcept {
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(d.v[vec]), "v"(w));
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   const std::byte* group) noexcept {
    asm("vpdpbusd %2, %1, %0"
        : "+v"(acc)
        : "v"(d.v[vec]), "m"(*reinterpret_cast<const __m256i*>(group + 32 * vec)));
  }
  [[gnu::always_inline]] static inline void dw_load(F32 (&v)[4], const float* p) noexcept {
    for (int j = 0; j < 4; ++j) {
      const __m128 low = _mm_loadu_ps(p + 4 * j);
      v[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(low), _mm_loadu_ps(p + 16 + 4 * j), 1);
    }
  }
  [[gnu::always_inline]] static inline void dw_store(std::int32_t* p, const I32 (&v)[4]) noexcept {
    for (int j = 0; j < 4; ++j) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 4 * j), _mm256_castsi256_si128(v[j]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 + 4 * j),
                       _mm256_extracti128_si256(v[j], 1));
    }
  }
  [[gnu::always_inline]] static inline void dw_store_codes(std::uint8_t* dst, const I32 (&q)[4],
                                                           const CodeConsts& k, std::int64_t n,
                                                           const std::uint8_t* table) noexcept {
    const __m256i p0 = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), k.zero);
    const __m256i p1 = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), k.zero);
    __m256i r = _mm256_packus_epi16(p0, p1);
    if (k.bounded) r = _mm256_min_epu8(_mm256_max_epu8(r, k.lo), k.hi);
    if (n >= 32) [[likely]]
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), r);
    else
      _mm256_mask_storeu_epi8(dst, (__mmask32{1} << n) - 1, r);
    if (table != nullptr) Avx512Vnni::lut(dst, dst, n < 32 ? n : 32, table);
  }

 private:
  [[gnu::always_inline]] static inline __m256i load32(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
};

}  // namespace intact
