#include "kernels/gemm_bf16.h"
#include "kernels/gemm_f32.inl.h"
#include "kernels/isa/bf16_avx512.h"

namespace intact {
namespace {

void round_row(const float* x, std::int64_t cols, float* pairs) noexcept {
  std::int64_t c = 0;
  for (; c + 32 <= cols; c += 32)
    _mm512_storeu_si512(pairs + c / 2, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + c + 16),
                                                                    _mm512_loadu_ps(x + c)));
  for (; c < cols; c += 16) {
    const int left = static_cast<int>(cols - c < 16 ? cols - c : 16);
    const __m256bh pair = _mm512_cvtneps_pbh(Avx512F32::load_tail(x + c, left));
    _mm256_mask_storeu_epi32(pairs + c / 2, static_cast<__mmask8>((1u << (left + 1) / 2) - 1u),
                             (__m256i)pair);
  }
}

// Rows of even length are one.
void round_rows(const float* x, std::int64_t rows, std::int64_t cols, float* pairs) noexcept {
  if (cols % 2 == 0) return round_row(x, rows * cols, pairs);
  for (std::int64_t r = 0; r < rows; ++r) round_row(x + r * cols, cols, pairs + r * pairs_of(cols));
}

}  // namespace

using GemmAvx512Bf16 = GemmF32<Avx512Bf16, 8, 3, Avx2Bf16, 12>;
extern const GemmBf16Kernel kGemmBf16Avx512;
constinit const GemmBf16Kernel kGemmBf16Avx512 = {.product = {.name = "gemm_bf16/avx512bf16",
                                                              .isa = IsaLevel::kAvx512,
                                                              .tile_m = 8,
                                                              .tile_panels = 3,
                                                              .pack_b = &GemmAvx512Bf16::pack_b,
                                                              .run = &GemmAvx512Bf16::run},
                                                  .round = &round_rows};

}  // namespace intact
