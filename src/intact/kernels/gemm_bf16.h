// gemm_bf16.h: the product of gemm_f32.h with both operands rounded to bfloat16 (--fast-float).
//
//   C[m, n] = clamp(s[m, n] + bias[n] + residual[m, n], lo, hi)
//   s[m, n] = sum over k of r(a[m, k]) r(b[k, n])          r: rne to 8 significant bits (25)
//
// The sum is the processor's own: float32, two products a step, subnormals as zeros. So it is one
// of the places that numerics.md excludes from the same-bytes rule, and only sessions that ask for
// it have it. To (25) in exact arithmetic, with K products:
//
//   |s - exact| <= (K + 2) 2^-23 sum over k |r(a) r(b)| + K 2^-125                         (26)
//
// A pair of bfloat16 (k even in the low half) is an element of 32 bits, and the tile is that of
// gemm_f32 with pairs in the place of floats: GemmF32Args in pairs, shape.k_per_tap counts them, a
// tap of odd length ends in a zero.
#pragma once

#include <vector>

#include "kernels/gemm_f32.h"

namespace intact {

[[nodiscard]] constexpr std::int64_t pairs_of(std::int64_t k) { return (k + 1) / 2; }

struct GemmBf16Kernel {
  GemmF32Kernel product;  // Of pairs; pack_b moves them as they are.
  // Writes each row of `cols` floats as pairs_of(cols) pairs. Rows are dense on both sides.
  void (*round)(const float* x, std::int64_t rows, std::int64_t cols, float* pairs);
};

// Returns the kernel, or null: no row for this processor, or $INTACT_ISA pins a level below it.
const GemmBf16Kernel* gemm_bf16();

// Returns B, [taps][k_per_tap][n], as pairs: [taps][pairs_of(k_per_tap)][n], for pack_b.
std::vector<float> pairs_of_b(const GemmShape& shape, const GemmF32Source& source);

}  // namespace intact
