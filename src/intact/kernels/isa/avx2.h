// isa/avx2.h: the integer vocabulary (isa/scalar.h) for AVX2.
//
// Products are int16 pairs (vpmaddwd), exact in int32: vpmaddubsw saturates at int16, and splitting
// even and odd bytes to avoid that costs twice the instructions. So A is widened into a strip once
// for all columns, and B is widened as it is loaded: dot takes kStepK = 2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/f32_avx2.h"

namespace intact {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kPanelVecs = 2;
  static constexpr int kStepK = 2;
  static constexpr int kVecBytes = 16;
  static constexpr int kElemBytes = 2;
  static constexpr bool kAlwaysStrip = true;
  static constexpr int kAOffset = 0;
  static constexpr bool kHalfPanels = false;
  static constexpr int kMaxPanels = 1;
  static constexpr int kTileM[2] = {0, 6};  // 12 accumulators, 2 weights, 1 broadcast, 1 product.

  using I32 = __m256i;
  using F32 = __m256;
  using Floats = Avx2F32;

  [[gnu::always_inline]] static inline I32 bcast_a(const std::uint8_t* a) noexcept {
    std::int32_t x;
    std::memcpy(&x, a, 4);
    return _mm256_set1_epi32(x);
  }
  [[gnu::always_inline]] static inline I32 load_w(const std::int8_t* w) noexcept {
    return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(w)));
  }
  [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a, w));
  }
  [[gnu::always_inline]] static inline void keep(I32& acc) noexcept {
    asm volatile("" : "+x"(acc));
  }

  struct Pairs {
    static constexpr int kStepK = 2;
    static constexpr int kVecBytes = 32;
    static constexpr int index(int lane, int i) noexcept { return 2 * lane + i; }
    [[gnu::always_inline]] static inline I32 bcast_a(const std::uint8_t* a) noexcept {
      std::int32_t x;
      std::memcpy(&x, a, 4);
      return _mm256_set1_epi32(x);
    }
    [[gnu::always_inline]] static inline I32 load_w(const std::int8_t* w) noexcept {
      return _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
    }
    [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
      acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a, w));
    }
  };

  static constexpr int kLanes16 = 16;
  using S16 = __m256i;
  [[gnu::always_inline]] static inline S16 set_s16(std::int32_t x) noexcept {
    return _mm256_set1_epi16(static_cast<short>(x));
  }
  [[gnu::always_inline]] static inline S16 widen_s16(const std::uint8_t* p) noexcept {
    return _mm256_cvtepu8_epi16(load16(p));
  }
  [[gnu::always_inline]] static inline S16 load_s16(const std::int16_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  [[gnu::always_inline]] static inline void store_s16(std::int16_t* p, S16 x) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  [[gnu::always_inline]] static inline S16 add_s16(S16 a, S16 b) noexcept {
    return _mm256_add_epi16(a, b);
  }
  [[gnu::always_inline]] static inline S16 sub_s16(S16 a, S16 b) noexcept {
    return _mm256_sub_epi16(a, b);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline S16 shl_s16(S16 a) noexcept {
    return _mm256_slli_epi16(a, kBits);
  }

  [[gnu::always_inline]] static inline void widen(std::uint8_t* dst, const std::uint8_t* src,
                                                  std::int64_t n) noexcept {
    for (std::int64_t i = 0; i < n; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 2 * i),
                          _mm256_cvtepu8_epi16(load16(src + i)));
  }
  static std::int32_t sum_u8(const std::uint8_t* x, std::int64_t n) noexcept {
    __m256i s = _mm256_setzero_si256();
    std::int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      s = _mm256_add_epi64(s, _mm256_sad_epu8(v, _mm256_setzero_si256()));
    }
    const __m128i h = _mm_add_epi64(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    std::int32_t sum = _mm_cvtsi128_si32(_mm_add_epi64(h, _mm_srli_si128(h, 8)));
    for (; i < n; ++i) sum += x[i];
    return sum;
  }

  [[gnu::always_inline]] static inline I32 load_i32(const std::int32_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  [[gnu::always_inline]] static inline void store_i32(std::int32_t* p, I32 x) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  [[gnu::always_inline]] static inline void store_i32(std::int32_t* p, I32 x,
                                                      std::int64_t n) noexcept {
    _mm256_maskstore_epi32(p, lanes_below(n), x);
  }
  [[gnu::always_inline]] static inline I32 set_i32(std::int32_t x) noexcept {
    return _mm256_set1_epi32(x);
  }
  [[gnu::always_inline]] static inline I32 add(I32 a, I32 b) noexcept {
    return _mm256_add_epi32(a, b);
  }
  [[gnu::always_inline]] static inline I32 sub(I32 a, I32 b) noexcept {
    return _mm256_sub_epi32(a, b);
  }
  [[gnu::always_inline]] static inline I32 mul(I32 a, I32 b) noexcept {
    return _mm256_mullo_epi32(a, b);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline I32 shl(I32 a) noexcept {
    return _mm256_slli_epi32(a, kBits);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline I32 sra(I32 a) noexcept {
    return _mm256_srai_epi32(a, kBits);
  }
  [[gnu::always_inline]] static inline I32 load_u8(const std::uint8_t* p) noexcept {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  [[gnu::always_inline]] static inline void store_u8(std::uint8_t* p, I32 x,
                                                     std::int64_t n) noexcept {
    const __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    store_bytes(p, _mm_packus_epi16(w, w), n < kLanes ? n : kLanes);
  }

  [[gnu::always_inline]] static inline F32 load_f32(const float* p) noexcept {
    return _mm256_loadu_ps(p);
  }
  [[gnu::always_inline]] static inline F32 load_f32(const float* p, std::int64_t n) noexcept {
    return _mm256_maskload_ps(p, lanes_below(n));
  }
  [[gnu::always_inline]] static inline void store_f32(float* p, F32 x) noexcept {
    _mm256_storeu_ps(p, x);
  }
  [[gnu::always_inline]] static inline void store_f32(float* p, F32 x, std::int64_t n) noexcept {
    _mm256_maskstore_ps(p, lanes_below(n), x);
  }
  [[gnu::always_inline]] static inline F32 set_f32(float x) noexcept { return _mm256_set1_ps(x); }
  [[gnu::always_inline]] static inline F32 to_f32(I32 x) noexcept { return _mm256_cvtepi32_ps(x); }
  [[gnu::always_inline]] static inline I32 to_i32(F32 x) noexcept { return _mm256_cvtps_epi32(x); }
  [[gnu::always_inline]] static inline F32 round(F32 x) noexcept {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) noexcept {
    return _mm256_mul_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) noexcept {
    return _mm256_add_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 sub(F32 a, F32 b) noexcept {
    return _mm256_sub_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 div(F32 a, F32 b) noexcept {
    return _mm256_div_ps(a, b);
  }
  [[gnu::always_inline]] static inline F32 nan_to_zero(F32 a) noexcept {
    return _mm256_and_ps(a, _mm256_cmp_ps(a, a, _CMP_ORD_Q));
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
  [[gnu::always_inline]] static inline F32 max(F32 a, F32 b) noexcept {
    return _mm256_max_ps(a, b);
  }

  // Sixteen 16-entry look-ups; the one whose row is the high nibble counts. x minus 16 r lies in
  // [0, 15] for that row only; adding 0x70 with saturation sets bit 7, hence gives 0, elsewhere.
  // Row r of the table answers the indices of its sixteen; any other index has bit 7 set.
  [[gnu::always_inline]] static inline __m256i lut32(__m256i x,
                                                     const std::uint8_t* table) noexcept {
    __m256i r = _mm256_setzero_si256();
    for (int row = 0; row < 16; ++row) {
      const __m256i t = _mm256_broadcastsi128_si256(load16(table + 16 * row));
      const __m256i index =
          _mm256_adds_epu8(_mm256_sub_epi8(x, _mm256_set1_epi8(static_cast<char>(16 * row))),
                           _mm256_set1_epi8(0x70));
      r = _mm256_or_si256(r, _mm256_shuffle_epi8(t, index));
    }
    return r;
  }
  static void lut(const std::uint8_t* x, std::uint8_t* y, std::int64_t n,
                  const std::uint8_t* table) noexcept {
    std::int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), lut32(v, table));
    }
    for (; i < n; ++i) y[i] = table[x[i]];
  }

  static constexpr int kBytes = 16;
  [[gnu::always_inline]] static inline __m128i zero_bytes() noexcept { return _mm_setzero_si128(); }
  [[gnu::always_inline]] static inline __m128i load_bytes(const std::uint8_t* p) noexcept {
    return load16(p);
  }
  [[gnu::always_inline]] static inline __m128i max_bytes(__m128i a, __m128i b) noexcept {
    return _mm_max_epu8(a, b);
  }
  static void store_bytes(std::uint8_t* dst, __m128i r, std::int64_t n) noexcept {
    if (n >= 16) [[likely]] {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), r);
    } else if (n == 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(dst), r);
    } else {
      alignas(16) std::uint8_t bytes[16];
      _mm_store_si128(reinterpret_cast<__m128i*>(bytes), r);
      for (std::int64_t i = 0; i < n; ++i) dst[i] = bytes[i];
    }
  }

  static constexpr int kPickBytes = 16;
  static constexpr int kPickPixels = 2;
  using PickControl = __m256i;
  using PickTable = const std::uint8_t*;
  [[gnu::always_inline]] static inline __m256i no_picks() noexcept {
    return _mm256_setzero_si256();
  }
  [[gnu::always_inline]] static inline PickControl load_control(
      const std::uint8_t* control) noexcept {
    return _mm256_broadcastsi128_si256(load16(control));
  }
  static PickTable load_table(const std::uint8_t* table) noexcept { return table; }
  [[gnu::always_inline]] static inline __m256i load_picks(const std::uint8_t* p,
                                                          std::ptrdiff_t second) noexcept {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(p)), load16(p + second), 1);
  }
  [[gnu::always_inline]] static inline __m256i pick(__m256i x, PickControl control) noexcept {
    return _mm256_shuffle_epi8(x, control);
  }
  [[gnu::always_inline]] static inline __m256i join(__m256i a, __m256i b) noexcept {
    return _mm256_or_si256(a, b);
  }
  [[gnu::always_inline]] static inline __m256i look_up(__m256i x, PickTable table) noexcept {
    return lut32(x, table);
  }
  [[gnu::always_inline]] static inline void store_picks(std::uint8_t* p, std::ptrdiff_t second,
                                                        __m256i x, std::int64_t n) noexcept {
    store_bytes(p, _mm256_castsi256_si128(x), n);
    store_bytes(p + second, _mm256_extracti128_si256(x, 1), n);
  }

  // y[3 i + c] = byte i of a, b or c, for kThirds i.
  static constexpr int kThirds = 16;
  [[gnu::always_inline]] static inline void interleave3(const std::uint8_t* a,
                                                        const std::uint8_t* b,
                                                        const std::uint8_t* c,
                                                        std::uint8_t* y) noexcept {
    const auto load = [](const std::uint8_t* p) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    };
    const __m128i va = load(a), vb = load(b), vc = load(c);
    // Byte 3 i of the first third of a's order is i; the others lie one and two behind.
    const __m128i a0 = _mm_setr_epi8(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5);
    const __m128i a1 = _mm_setr_epi8(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1);
    const __m128i a2 =
        _mm_setr_epi8(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1);
    const __m128i b0 = _mm_setr_epi8(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1);
    const __m128i b1 = _mm_setr_epi8(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10);
    const __m128i b2 =
        _mm_setr_epi8(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1);
    const __m128i c0 = _mm_setr_epi8(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1);
    const __m128i c1 = _mm_setr_epi8(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1);
    const __m128i c2 =
        _mm_setr_epi8(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15);
    const auto put = [&](std::uint8_t* p, __m128i i, __m128i j, __m128i k) {
      const __m128i r = _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(va, i), _mm_shuffle_epi8(vb, j)),
                                     _mm_shuffle_epi8(vc, k));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p), r);
    };
    put(y, a0, b0, c0);
    put(y + 16, a1, b1, c1);
    put(y + 32, a2, b2, c2);
  }

  static constexpr int kCodeVecs = 2;
  static constexpr bool kAnyCodeVecs = false;
  struct CodeConsts {
    __m256i zero;  // int16 lanes
    __m128i lo;    // u8 lanes
    __m128i hi;
    bool bounded;  // Packing saturates to [0, 255] already.
  };
  [[gnu::always_inline]] static inline CodeConsts code_consts(std::int32_t zero, std::int32_t lo,
                                                              std::int32_t hi) noexcept {
    return {_mm256_set1_epi16(static_cast<short>(zero)), _mm_set1_epi8(static_cast<char>(lo)),
            _mm_set1_epi8(static_cast<char>(hi)), lo != 0 || hi != 255};
  }
  template <int NV>
  [[gnu::always_inline]] static inline void store_codes(std::uint8_t* dst, const I32 (&q)[NV],
                                                        const CodeConsts& k, std::int64_t n,
                                                        const std::uint8_t* table) noexcept {
    static_assert(NV == 2);
    const __m256i p = _mm256_permute4x64_epi64(pack16(q, k), 0xD8);
    finish(dst, p, k, n, table);
  }

  template <int NV, int kRows>
  [[gnu::always_inline]] static inline void store_codes(std::uint8_t* dst, std::ptrdiff_t,
                                                        const I32 (*q)[NV], const CodeConsts& k,
                                                        std::int64_t n,
                                                        const std::uint8_t* table) noexcept {
    static_assert(kRows == 1);
    store_codes<NV>(dst, q[0], k, n, table);
  }

  static constexpr bool kDwSlides = true;
  static constexpr int kDwVecs = 2;
  static constexpr int kDwBlock = 16;
  static constexpr int kDwWeightBytes = 128;  // int16: pairs (row 0, row 1), then (row 2, row 3)
  // Unpack within 128-bit lanes: vector j, lane L, dword i is channel 8 L + 4 j + i.
  static constexpr int dw_channel(int vec, int lane) noexcept {
    return 8 * (lane / 4) + 4 * vec + lane % 4;
  }
  static void dw_put_weight(std::byte* group, int channel, int row, int w) noexcept {
    const int vec = channel % 8 / 4;
    const int lane = channel / 8 * 4 + channel % 4;
    const auto value = static_cast<std::int16_t>(w);
    std::memcpy(group + vec * 64 + row / 2 * 32 + lane * 4 + row % 2 * 2, &value, 2);
  }
  struct Column {
    __m256i v[2][2];  // [vector][pair of rows]
    bool second;      // Rows 2 and 3 exist; a constant after inlining.
  };
  template <int kRows>
  [[gnu::always_inline]] static inline void dw_column(Column& d,
                                                      const std::uint8_t* const (&p)[4]) noexcept {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i r0 = _mm256_cvtepu8_epi16(load16(p[0]));
    const __m256i r1 = kRows > 1 ? _mm256_cvtepu8_epi16(load16(p[1])) : zero;
    d.v[0][0] = _mm256_unpacklo_epi16(r0, r1);
    d.v[1][0] = _mm256_unpackhi_epi16(r0, r1);
    d.second = kRows > 2;
    if constexpr (kRows > 2) {
      const __m256i r2 = _mm256_cvtepu8_epi16(load16(p[2]));
      const __m256i r3 = kRows > 3 ? _mm256_cvtepu8_epi16(load16(p[3])) : zero;
      d.v[0][1] = _mm256_unpacklo_epi16(r2, r3);
      d.v[1][1] = _mm256_unpackhi_epi16(r2, r3);
    }
  }
  static constexpr int kDwHeldWeights = 0;
  using DwWeight = I32;
  [[gnu::always_inline]] static inline DwWeight dw_weight(const std::byte* group,
                                                          int vec) noexcept {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(group + 64 * vec));
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   const std::byte* group) noexcept {
    const auto* w = reinterpret_cast<const __m256i*>(group + 64 * vec);
    dot(acc, d.v[vec][0], _mm256_load_si256(w));
    if (d.second) dot(acc, d.v[vec][1], _mm256_load_si256(w + 1));
  }
  [[gnu::always_inline]] static inline void dw_load(F32 (&v)[2], const float* p) noexcept {
    const __m256 a = _mm256_loadu_ps(p);
    const __m256 b = _mm256_loadu_ps(p + 8);
    v[0] = _mm256_permute2f128_ps(a, b, 0x20);
    v[1] = _mm256_permute2f128_ps(a, b, 0x31);
  }
  [[gnu::always_inline]] static inline void dw_store(std::int32_t* p, const I32 (&v)[2]) noexcept {
    store_i32(p, _mm256_permute2x128_si256(v[0], v[1], 0x20));
    store_i32(p + 8, _mm256_permute2x128_si256(v[0], v[1], 0x31));
  }
  [[gnu::always_inline]] static inline void dw_store_codes(std::uint8_t* dst, const I32 (&q)[2],
                                                           const CodeConsts& k, std::int64_t n,
                                                           const std::uint8_t* table) noexcept {
    finish(dst, pack16(q, k), k, n, table);
  }

 private:
  [[gnu::always_inline]] static inline __m128i load16(const std::uint8_t* p) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  [[gnu::always_inline]] static inline __m256i lanes_below(std::int64_t n) noexcept {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  [[gnu::always_inline]] static inline __m256i pack16(const I32 (&q)[2],
                                                      const CodeConsts& k) noexcept {
    return _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), k.zero);
  }
  [[gnu::always_inline]] static inline void finish(std::uint8_t* dst, __m256i p,
                                                   const CodeConsts& k, std::int64_t n,
                                                   const std::uint8_t* table) noexcept {
    __m128i r = _mm_packus_epi16(_mm256_castsi256_si128(p), _mm256_extracti128_si256(p, 1));
    if (k.bounded) r = _mm_min_epu8(_mm_max_epu8(r, k.lo), k.hi);
    n = n < 16 ? n : 16;
    if (n == 16) [[likely]]
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), r);
    else
      store_bytes(dst, r, n);
    if (table != nullptr) lut(dst, dst, n, table);
  }
};

}  // namespace intact
