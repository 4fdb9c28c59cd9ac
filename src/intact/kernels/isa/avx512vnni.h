// isa/avx512vnni.h: the integer vocabulary (isa/scalar.h) for AVX-512 with VNNI and VBMI.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/isa/f32_avx512.h"

namespace intact {

// Bytes [from, from + 64) of three interleaved planes: where they are, and which are the third's.
struct ThirdsOf64 {
  constexpr explicit ThirdsOf64(int from) noexcept {
    for (int j = 0; j < 64; ++j) {
      const int plane = (from + j) % 3;
      index[j] = static_cast<std::uint8_t>((from + j) / 3 + (plane == 1 ? 64 : 0));
      if (plane == 2) third |= std::uint64_t{1} << j;
    }
  }
  std::uint8_t index[64] = {};
  std::uint64_t third = 0;
};

struct Avx512Vnni {
  static constexpr int kLanes = 16;
  static constexpr int kPanelVecs = 1;
  static constexpr int kStepK = 4;
  static constexpr int kVecBytes = 64;
  static constexpr int kElemBytes = 1;
  static constexpr bool kAlwaysStrip = false;
  static constexpr int kAOffset = 0;
  static constexpr int kMaxPanels = 4;
  static constexpr bool kHalfPanels = true;
  static constexpr int kTileM[5] = {0, 12, 12, 8, 6};  // As many row pointers as fit registers.

  using I32 = __m512i;
  using F32 = __m512;
  using Floats = Avx512F32;

  [[gnu::always_inline]] static inline I32 bcast_a(const std::uint8_t* a) noexcept {
    std::int32_t x;
    std::memcpy(&x, a, 4);
    return _mm512_set1_epi32(x);
  }
  [[gnu::always_inline]] static inline I32 load_w(const std::int8_t* w) noexcept {
    return _mm512_load_si512(w);
  }
  // Not the intrinsic: g++ 12 moves its accumulators through the stack when an epilogue follows.
  [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w));
  }
  [[gnu::always_inline]] static inline void keep(I32& acc) noexcept {
    asm volatile("" : "+v"(acc));
  }

  struct Pairs {
    static constexpr int kStepK = 2;
    static constexpr int kVecBytes = 64;
    static constexpr int index(int lane, int i) noexcept { return 2 * lane + i; }
    [[gnu::always_inline]] static inline I32 bcast_a(const std::uint8_t* a) noexcept {
      std::int32_t x;
      std::memcpy(&x, a, 4);
      return _mm512_set1_epi32(x);
    }
    [[gnu::always_inline]] static inline I32 load_w(const std::int8_t* w) noexcept {
      return _mm512_load_si512(w);
    }
    [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
      asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w));
    }
  };

  // Slim streams (gemm_pack.inl.h): 8 columns by 8 k in a vector, two lanes a column.
  struct Eights {
    static constexpr int kVecBytes = 64;
    static constexpr int kTileM[4] = {0, 12, 12, 8};  // By streams.
    [[gnu::always_inline]] static inline I32 bcast_a(const std::uint8_t* a) noexcept {
      std::int64_t x;
      std::memcpy(&x, a, 8);
      return _mm512_set1_epi64(x);
    }
    [[gnu::always_inline]] static inline I32 load_w(const std::int8_t* w) noexcept {
      return _mm512_load_si512(w);
    }
    [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
      Avx512Vnni::dot(acc, a, w);
    }
    // Eight columns: each in the first of its lanes, 0 in the second.
    [[gnu::always_inline]] static inline I32 load_i32(const std::int32_t* p) noexcept {
      return _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    // The columns of a, then those of b: the sums of their lanes.
    [[gnu::always_inline]] static inline I32 sum(I32 a, I32 b) noexcept {
      const I32 first = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
      const I32 second =
          _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
      return _mm512_add_epi32(_mm512_permutex2var_epi32(a, first, b),
                              _mm512_permutex2var_epi32(a, second, b));
    }
  };

  // Halves of a vector, for a last panel of up to 8 columns.
  [[gnu::always_inline]] static inline I32 load_twice(const void* p) noexcept {
    return _mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  [[gnu::always_inline]] static inline I32 halves(I32 first, I32 second) noexcept {
    return _mm512_mask_blend_epi64(0xF0, first, second);
  }
  [[gnu::always_inline]] static inline I32 second_half(I32 x) noexcept {
    return _mm512_castsi256_si512(_mm512_extracti64x4_epi64(x, 1));
  }

  static constexpr int kLanes16 = 32;
  using S16 = __m512i;
  [[gnu::always_inline]] static inline S16 set_s16(std::int32_t x) noexcept {
    return _mm512_set1_epi16(static_cast<short>(x));
  }
  [[gnu::always_inline]] static inline S16 widen_s16(const std::uint8_t* p) noexcept {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  [[gnu::always_inline]] static inline S16 load_s16(const std::int16_t* p) noexcept {
    return _mm512_loadu_si512(p);
  }
  [[gnu::always_inline]] static inline void store_s16(std::int16_t* p, S16 x) noexcept {
    _mm512_storeu_si512(p, x);
  }
  [[gnu::always_inline]] static inline S16 add_s16(S16 a, S16 b) noexcept {
    return _mm512_add_epi16(a, b);
  }
  [[gnu::always_inline]] static inline S16 sub_s16(S16 a, S16 b) noexcept {
    return _mm512_sub_epi16(a, b);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline S16 shl_s16(S16 a) noexcept {
    return _mm512_slli_epi16(a, kBits);
  }

  [[gnu::always_inline]] static inline void widen(std::uint8_t* dst, const std::uint8_t* src,
                                                  std::int64_t n) noexcept {
    if (n <= 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(src)));
      return;
    }
    std::int64_t i = 0;
    for (; i + 32 < n; i += 64) _mm512_storeu_si512(dst + i, _mm512_loadu_si512(src + i));
    for (; i < n; i += 16)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + i)));
  }
  static std::int32_t sum_u8(const std::uint8_t* x, std::int64_t n) noexcept {
    __m512i s = _mm512_setzero_si512();
    const __m512i ones = _mm512_set1_epi8(1);
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) s = _mm512_dpbusd_epi32(s, _mm512_loadu_si512(x + i), ones);
    s = _mm512_dpbusd_epi32(s, _mm512_maskz_loadu_epi8(mask64(n - i), x + i), ones);
    return _mm512_reduce_add_epi32(s);
  }

  [[gnu::always_inline]] static inline I32 load_i32(const std::int32_t* p) noexcept {
    return _mm512_loadu_si512(p);
  }
  [[gnu::always_inline]] static inline void store_i32(std::int32_t* p, I32 x) noexcept {
    _mm512_storeu_si512(p, x);
  }
  [[gnu::always_inline]] static inline void store_i32(std::int32_t* p, I32 x,
                                                      std::int64_t n) noexcept {
    _mm512_mask_storeu_epi32(p, mask16(n), x);
  }
  [[gnu::always_inline]] static inline I32 set_i32(std::int32_t x) noexcept {
    return _mm512_set1_epi32(x);
  }
  [[gnu::always_inline]] static inline I32 add(I32 a, I32 b) noexcept {
    return _mm512_add_epi32(a, b);
  }
  [[gnu::always_inline]] static inline I32 sub(I32 a, I32 b) noexcept {
    return _mm512_sub_epi32(a, b);
  }
  [[gnu::always_inline]] static inline I32 mul(I32 a, I32 b) noexcept {
    return _mm512_mullo_epi32(a, b);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline I32 shl(I32 a) noexcept {
    return _mm512_slli_epi32(a, kBits);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline I32 sra(I32 a) noexcept {
    return _mm512_srai_epi32(a, kBits);
  }
  [[gnu::always_inline]] static inline I32 load_u8(const std::uint8_t* p) noexcept {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  [[gnu::always_inline]] static inline void store_u8(std::uint8_t* p, I32 x,
                                                     std::int64_t n) noexcept {
    const __m128i b = _mm512_cvtepi32_epi8(x);
    if (n >= kLanes) [[likely]]
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p), b);
    else
      _mm_mask_storeu_epi8(p, mask16(n), b);
  }

  [[gnu::always_inline]] static inline F32 load_f32(const float* p) noexcept {
    return _mm512_loadu_ps(p);
  }
  [[gnu::always_inline]] static inline F32 load_f32(const float* p, std::int64_t n) noexcept {
    return _mm512_maskz_loadu_ps(mask16(n), p);
  }
  [[gnu::always_inline]] static inline void store_f32(float* p, F32 x) noexcept {
    _mm512_storeu_ps(p, x);
  }
  [[gnu::always_inline]] static inline void store_f32(float* p, F32 x, std::int64_t n) noexcept {
    _mm512_mask_storeu_ps(p, mask16(n), x);
  }
  [[gnu::always_inline]] static inline F32 set_f32(float x) noexcept { return _mm512_set1_ps(x); }
  [[gnu::always_inline]] static inline F32 to_f32(I32 x) noexcept { return _mm512_cvtepi32_ps(x); }
  [[gnu::always_inline]] static inline I32 to_i32(F32 x) noexcept { return _mm512_cvtps_epi32(x); }
  [[gnu::always_inline]] static inline F32 round(F32 x) noexcept {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) noexcept {
    return _mm512_mul_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) noexcept {
    return _mm512_add_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 sub(F32 a, F32 b) noexcept {
    return _mm512_sub_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 div(F32 a, F32 b) noexcept {
    return _mm512_div_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 nan_to_zero(F32 a) noexcept {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a);
  }
  [[gnu::always_inline]] static inline F32 fma(F32 a, F32 b, F32 c) noexcept {
    return _mm512_fmadd_ps(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static inline F32 apply(const F& f, F32 x) noexcept {
    return f(x);
  }
  [[gnu::always_inline]] static inline F32 min(F32 a, F32 b) noexcept {
    return _mm512_min_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 max(F32 a, F32 b) noexcept {
    return _mm512_max_ps(a, b);
  }

  // 256-byte table: two two-register look-ups, chosen by the top bit.
  struct PickTable {
    __m512i quarter[4];
  };
  [[gnu::always_inline]] static inline PickTable load_table(const std::uint8_t* table) noexcept {
    return {{_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64),
             _mm512_loadu_si512(table + 128), _mm512_loadu_si512(table + 192)}};
  }
  [[gnu::always_inline]] static inline __m512i look_up(__m512i x, const PickTable& t) noexcept {
    const __m512i low = _mm512_permutex2var_epi8(t.quarter[0], x, t.quarter[1]);
    const __m512i high = _mm512_permutex2var_epi8(t.quarter[2], x, t.quarter[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
  }
  [[gnu::always_inline]] static inline __m512i lut64(__m512i x,
                                                     const std::uint8_t* table) noexcept {
    return look_up(x, load_table(table));
  }
  static void lut(const std::uint8_t* x, std::uint8_t* y, std::int64_t n,
                  const std::uint8_t* table) noexcept {
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64)
      _mm512_storeu_si512(y + i, lut64(_mm512_loadu_si512(x + i), table));
    if (i < n) {
      const __mmask64 m = mask64(n - i);
      _mm512_mask_storeu_epi8(y + i, m, lut64(_mm512_maskz_loadu_epi8(m, x + i), table));
    }
  }

  static constexpr int kPickBytes = 64;
  static constexpr int kPickPixels = 1;
  struct PickControl {
    __m512i index;
    __mmask64 taken;
  };
  [[gnu::always_inline]] static inline PickControl load_control(
      const std::uint8_t* control) noexcept {
    const __m512i index = _mm512_loadu_si512(control);
    return {index, ~_mm512_movepi8_mask(index)};
  }
  [[gnu::always_inline]] static inline __m512i no_picks() noexcept {
    return _mm512_setzero_si512();
  }
  [[gnu::always_inline]] static inline __m512i load_picks(const std::uint8_t* p,
                                                          std::ptrdiff_t) noexcept {
    return _mm512_loadu_si512(p);
  }
  [[gnu::always_inline]] static inline __m512i pick(__m512i x,
                                                    const PickControl& control) noexcept {
    return _mm512_maskz_permutexvar_epi8(control.taken, control.index, x);
  }
  [[gnu::always_inline]] static inline __m512i join(__m512i a, __m512i b) noexcept {
    return _mm512_or_si512(a, b);
  }
  [[gnu::always_inline]] static inline void store_picks(std::uint8_t* p, std::ptrdiff_t, __m512i x,
                                                        std::int64_t n) noexcept {
    store_bytes(p, x, n);
  }

  static constexpr int kBytes = 64;
  [[gnu::always_inline]] static inline __m512i zero_bytes() noexcept {
    return _mm512_setzero_si512();
  }
  [[gnu::always_inline]] static inline __m512i load_bytes(const std::uint8_t* p) noexcept {
    return _mm512_loadu_si512(p);
  }
  [[gnu::always_inline]] static inline __m512i max_bytes(__m512i a, __m512i b) noexcept {
    return _mm512_max_epu8(a, b);
  }
  [[gnu::always_inline]] static inline void store_bytes(std::uint8_t* p, __m512i x,
                                                        std::int64_t n) noexcept {
    if (n >= kBytes)
      _mm512_storeu_si512(p, x);
    else
      _mm512_mask_storeu_epi8(p, mask64(n), x);
  }

  // y[3 i + c] = byte i of a, b or c, for kThirds i.
  static constexpr int kThirds = 64;
  [[gnu::always_inline]] static inline void interleave3(const std::uint8_t* a,
                                                        const std::uint8_t* b,
                                                        const std::uint8_t* c,
                                                        std::uint8_t* y) noexcept {
    const __m512i va = _mm512_loadu_si512(a), vb = _mm512_loadu_si512(b);
    const __m512i vc = _mm512_loadu_si512(c);
    // Byte j of the result is byte j / 3 of plane j % 3: a and b by one look-up, c by another.
    const auto put = [&]<int kFrom>(std::integral_constant<int, kFrom>) {
      constexpr ThirdsOf64 t(kFrom);
      const __m512i ab = _mm512_permutex2var_epi8(va, _mm512_loadu_si512(t.index), vb);
      const __m512i r = _mm512_mask_permutexvar_epi8(ab, t.third, _mm512_loadu_si512(t.index), vc);
      _mm512_storeu_si512(y + kFrom, r);
    };
    put(std::integral_constant<int, 0>());
    put(std::integral_constant<int, 64>());
    put(std::integral_constant<int, 128>());
  }

  static constexpr int kCodeVecs = 4;
  static constexpr bool kAnyCodeVecs = true;
  struct CodeConsts {
    __m512i zero;  // int16 lanes
    __m512i lo;    // u8 lanes
    __m512i hi;
    bool bounded;  // Packing saturates to [0, 255] already.
  };
  [[gnu::always_inline]] static inline CodeConsts code_consts(std::int32_t zero, std::int32_t lo,
                                                              std::int32_t hi) noexcept {
    return {_mm512_set1_epi16(static_cast<short>(zero)), _mm512_set1_epi8(static_cast<char>(lo)),
            _mm512_set1_epi8(static_cast<char>(hi)), lo != 0 || hi != 255};
  }
  template <int NV>
  [[gnu::always_inline]] static inline void store_codes(std::uint8_t* dst, const I32 (&q)[NV],
                                                        const CodeConsts& k, std::int64_t n,
                                                        const std::uint8_t* table) noexcept {
    const __m512i r = pack_codes(q[0], q[NV > 1 ? 1 : 0], q[NV > 2 ? 2 : 0], q[NV - 1], k);
    finish<NV * 16>(dst, r, k, n, table);
  }

  template <int NV, int kRows>
  [[gnu::always_inline]] static inline void store_codes(std::uint8_t* dst, std::ptrdiff_t row_bytes,
                                                        const I32 (*q)[NV], const CodeConsts& k,
                                                        std::int64_t n,
                                                        const std::uint8_t* table) noexcept {
    if constexpr (kRows == 1) {
      store_codes<NV>(dst, q[0], k, n, table);
    } else {
      static_assert(NV * kRows == 4);
      const auto at = [&](int j) { return q[j / NV][j % NV]; };
      __m512i r = pack_codes(at(0), at(1), at(2), at(3), k);
      if (k.bounded) r = _mm512_min_epu8(_mm512_max_epu8(r, k.lo), k.hi);
      if (table != nullptr) r = lut64(r, table);
      if (row_bytes == 16 * NV && n >= row_bytes) {
        _mm512_storeu_si512(dst, r);
      } else if constexpr (NV == 2) {
        store_low(dst, _mm512_castsi512_si256(r), n);
        store_low(dst + row_bytes, _mm512_extracti64x4_epi64(r, 1), n);
      } else {
        store_low(dst, _mm512_castsi512_si128(r), n);
        store_low(dst + row_bytes, _mm512_extracti32x4_epi32(r, 1), n);
        store_low(dst + 2 * row_bytes, _mm512_extracti32x4_epi32(r, 2), n);
        store_low(dst + 3 * row_bytes, _mm512_extracti32x4_epi32(r, 3), n);
      }
    }
  }

  static constexpr bool kDwSlides = true;
  static constexpr int kDwVecs = 4;
  static constexpr int kDwBlock = 64;
  static constexpr int kDwWeightBytes = 256;
  // Two levels of unpack: vector j, 128-bit lane L, dword i is channel 16 L + 4 j + i.
  static constexpr int dw_channel(int vec, int lane) noexcept {
    return 16 * (lane / 4) + 4 * vec + lane % 4;
  }
  static void dw_put_weight(std::byte* group, int channel, int row, int w) noexcept {
    const int vec = channel % 16 / 4;
    const int lane = channel / 16 * 4 + channel % 4;
    group[vec * 64 + lane * 4 + row] = std::byte(static_cast<std::uint8_t>(w));
  }
  struct Column {
    __m512i v[4];
  };
  template <int kRows>
  [[gnu::always_inline]] static inline void dw_column(Column& d,
                                                      const std::uint8_t* const (&p)[4]) noexcept {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i r0 = _mm512_loadu_si512(p[0]);
    const __m512i r1 = kRows > 1 ? _mm512_loadu_si512(p[1]) : zero;
    const __m512i r2 = kRows > 2 ? _mm512_loadu_si512(p[2]) : zero;
    const __m512i r3 = kRows > 3 ? _mm512_loadu_si512(p[3]) : zero;
    const __m512i lo01 = _mm512_unpacklo_epi8(r0, r1);
    const __m512i hi01 = _mm512_unpackhi_epi8(r0, r1);
    const __m512i lo23 = kRows > 2 ? _mm512_unpacklo_epi8(r2, r3) : zero;
    const __m512i hi23 = kRows > 2 ? _mm512_unpackhi_epi8(r2, r3) : zero;
    d.v[0] = _mm512_unpacklo_epi16(lo01, lo23);
    d.v[1] = _mm512_unpackhi_epi16(lo01, lo23);
    d.v[2] = _mm512_unpacklo_epi16(hi01, hi23);
    d.v[3] = _mm512_unpackhi_epi16(hi01, hi23);
  }
  static constexpr int kDwHeldWeights = 12;
  using DwWeight = __m512i;
  [[gnu::always_inline]] static inline DwWeight dw_weight(const std::byte* group,
                                                          int vec) noexcept {
    return _mm512_load_si512(group + 64 * vec);
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   DwWeight w) noexcept {
    dot(acc, d.v[vec], w);
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   const std::byte* group) noexcept {
    asm("vpdpbusd %2, %1, %0"
        : "+v"(acc)
        : "v"(d.v[vec]), "m"(*reinterpret_cast<const __m512i*>(group + 64 * vec)));
  }
  [[gnu::always_inline]] static inline void transpose(__m512i (&v)[4]) noexcept {
    // A 4 x 4 transpose of 128-bit lanes: its own inverse.
    const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(v[0], v[1], 0xEE);
    const __m512i c = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
    const __m512i d = _mm512_shuffle_i32x4(v[2], v[3], 0xEE);
    v[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    v[1] = _mm512_shuffle_i32x4(a, c, 0xDD);
    v[2] = _mm512_shuffle_i32x4(b, d, 0x88);
    v[3] = _mm512_shuffle_i32x4(b, d, 0xDD);
  }
  [[gnu::always_inline]] static inline void dw_load(F32 (&v)[4], const float* p) noexcept {
    __m512i t[4];
    for (int j = 0; j < 4; ++j) t[j] = _mm512_loadu_si512(p + 16 * j);
    transpose(t);
    for (int j = 0; j < 4; ++j) v[j] = _mm512_castsi512_ps(t[j]);
  }
  [[gnu::always_inline]] static inline void dw_store(std::int32_t* p, const I32 (&v)[4]) noexcept {
    __m512i t[4] = {v[0], v[1], v[2], v[3]};
    transpose(t);
    for (int j = 0; j < 4; ++j) _mm512_storeu_si512(p + 16 * j, t[j]);
  }
  [[gnu::always_inline]] static inline void dw_store_codes(std::uint8_t* dst, const I32 (&q)[4],
                                                           const CodeConsts& k, std::int64_t n,
                                                           const std::uint8_t* table) noexcept {
    // The packs undo the unpacks: the bytes come out in channel order.
    const __m512i p0 = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), k.zero);
    const __m512i p1 = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), k.zero);
    finish<64>(dst, _mm512_packus_epi16(p0, p1), k, n, table);
  }

 private:
  static __mmask16 mask16(std::int64_t n) noexcept { return static_cast<__mmask16>((1U << n) - 1); }
  static __mmask64 mask64(std::int64_t n) noexcept {
    return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1;
  }
  // The first min(n, all) bytes.
  [[gnu::always_inline]] static inline void store_low(std::uint8_t* dst, __m128i x,
                                                      std::int64_t n) noexcept {
    if (n >= 16) [[likely]]
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), x);
    else
      _mm_mask_storeu_epi8(dst, mask16(n), x);
  }
  [[gnu::always_inline]] static inline void store_low(std::uint8_t* dst, __m256i x,
                                                      std::int64_t n) noexcept {
    if (n >= 32) [[likely]]
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), x);
    else
      _mm256_mask_storeu_epi8(dst, static_cast<__mmask32>(mask64(n)), x);
  }
  // Codes of four vectors, in order, before their bounds. The packs work within 128-bit lanes:
  // dword 4 j + l of their result is lane l of vector j.
  [[gnu::always_inline]] static inline __m512i pack_codes(I32 q0, I32 q1, I32 q2, I32 q3,
                                                          const CodeConsts& k) noexcept {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i p0 = _mm512_adds_epi16(_mm512_packs_epi32(q0, q1), k.zero);
    const __m512i p1 = _mm512_adds_epi16(_mm512_packs_epi32(q2, q3), k.zero);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(p0, p1));
  }
  // Bounds, table and store of the first min(n, kFull) bytes of r.
  template <int kFull>
  [[gnu::always_inline]] static inline void finish(std::uint8_t* dst, __m512i r,
                                                   const CodeConsts& k, std::int64_t n,
                                                   const std::uint8_t* table) noexcept {
    if (k.bounded) r = _mm512_min_epu8(_mm512_max_epu8(r, k.lo), k.hi);
    if (table != nullptr) r = lut64(r, table);
    if (n < kFull) [[unlikely]] {
      _mm512_mask_storeu_epi8(dst, mask64(n), r);
      return;
    }
    if constexpr (kFull == 64) {
      _mm512_storeu_si512(dst, r);
    } else {
      if constexpr (kFull >= 32)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), _mm512_castsi512_si256(r));
      if constexpr (kFull == 48)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 32), _mm512_extracti32x4_epi32(r, 2));
      if constexpr (kFull == 16)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm512_castsi512_si128(r));
    }
  }
};

}  // namespace intact
