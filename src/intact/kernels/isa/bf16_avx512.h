// bf16_avx512.h: the float vocabularies with pairs of bfloat16 in the place of floats: fma adds two
// products to each lane.
#pragma once

#include "kernels/isa/f32_avx2.h"
#include "kernels/isa/f32_avx512.h"

namespace intact {

struct Avx512Bf16 : Avx512F32 {
  [[gnu::always_inline]] static V fma(V a, V b, V c) noexcept {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
  }
};

struct Avx2Bf16 : Avx2F32 {
  [[gnu::always_inline]] static V fma(V a, V b, V c) noexcept {
    return _mm256_dpbf16_ps(c, (__m256bh)a, (__m256bh)b);
  }
};

}  // namespace intact
