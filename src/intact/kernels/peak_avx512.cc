#include "kernels/isa/f32_avx512.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakF32Avx512;
constinit const PeakKernel kPeakF32Avx512 = {.name = "peak_f32/avx512",
                                             .isa = IsaLevel::kAvx512,
                                             .integer = false,
                                             .run = &PeakF32<Avx512F32>::run};

}  // namespace intact
