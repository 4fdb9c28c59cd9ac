#include "kernels/gemm_bf16.h"

#include <bit>

#include "base/half.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace intact {

#if defined(__x86_64__)
extern const GemmBf16Kernel kGemmBf16Avx512;

const GemmBf16Kernel* gemm_bf16() {
  constexpr unsigned kBf16Bit = 1U << 5;  // CPUID leaf 7, sub-leaf 1, EAX.
  static const bool has_unit = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kBf16Bit) != 0;
  }();
  const auto isa = host_isa();
  return has_unit && isa && isa_covers(*isa, kGemmBf16Avx512.product.isa) ? &kGemmBf16Avx512
                                                                          : nullptr;
}
#else
const GemmBf16Kernel* gemm_bf16() { return nullptr; }
#endif

std::vector<float> pairs_of_b(const GemmShape& shape, const GemmF32Source& source) {
  std::vector<float> pairs;
  pairs.reserve(static_cast<std::size_t>(shape.taps * pairs_of(shape.k_per_tap) * shape.n));
  for (std::int64_t tap = 0; tap < shape.taps; ++tap)
    for (std::int64_t k = 0; k < shape.k_per_tap; k += 2)
      for (std::int64_t n = 0; n < shape.n; ++n) {
        const float* b =
            source.b + tap * source.tap_stride + k * source.k_stride + n * source.n_stride;
        const std::uint32_t low = bfloat16_from_float(*b);
        const std::uint32_t high =
            k + 1 < shape.k_per_tap ? bfloat16_from_float(b[source.k_stride]) : 0;
        pairs.push_back(std::bit_cast<float>(high << 16 | low));
      }
  return pairs;
}

}  // namespace intact
