// isa/vnni256.h: the integer vocabulary (isa/scalar.h) for 256-bit VNNI, in its two encodings.
//
// vpdpbusd is exact: four u8 x s8 products and their sum in int32, no saturation at int16. All else
// is AVX2's. The words name the encoding to the assembler, so that the compiler may be told of AVX2
// only: what these files share with those of AVX2 is then the same code, whichever copy is linked.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/avx2.h"

namespace intact {

// Processors with AVX-VNNI and without AVX-512.
struct VexDot {
  [[gnu::always_inline]] static inline void bytes(__m256i& acc, __m256i a, __m256i w) noexcept {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(w));
  }
  [[gnu::always_inline]] static inline void pairs(__m256i& acc, __m256i a, __m256i w) noexcept {
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(w));
  }
};

// Processors with AVX-512 VL and VNNI.
struct EvexDot {
  [[gnu::always_inline]] static inline void bytes(__m256i& acc, __m256i a, __m256i w) noexcept {
    asm("%{evex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(w));
  }
  [[gnu::always_inline]] static inline void pairs(__m256i& acc, __m256i a, __m256i w) noexcept {
    asm("%{evex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(w));
  }
};

template <class Dot>
struct Vnni256 : Avx2 {
  static constexpr int kStepK = 4;
  static constexpr int kVecBytes = 32;
  static constexpr int kElemBytes = 1;
  static constexpr bool kAlwaysStrip = false;

  [[gnu::always_inline]] static inline I32 load_w(const std::int8_t* w) noexcept {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
  }
  [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
    Dot::bytes(acc, a, w);
  }

  struct Pairs : Avx2::Pairs {
    [[gnu::always_inline]] static inline void dot(I32& acc, I32 a, I32 w) noexcept {
      Dot::pairs(acc, a, w);
    }
  };

  [[gnu::always_inline]] static inline void widen(std::uint8_t* dst, const std::uint8_t* src,
                                                  std::int64_t n) noexcept {
    for (std::int64_t i = 0; i < n; i += 16)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + i)));
  }

  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   const std::byte* group) noexcept {
    const auto* w = reinterpret_cast<const __m256i*>(group + 64 * vec);
    Dot::pairs(acc, d.v[vec][0], _mm256_load_si256(w));
    if (d.second) Dot::pairs(acc, d.v[vec][1], _mm256_load_si256(w + 1));
  }
};

using AvxVnni = Vnni256<VexDot>;
using Avx512Dot = Vnni256<EvexDot>;

}  // namespace intact
