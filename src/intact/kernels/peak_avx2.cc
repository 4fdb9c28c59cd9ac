#include "kernels/isa/avx2.h"
#include "kernels/isa/f32_avx2.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakU8S8Avx2;
constinit const PeakKernel kPeakU8S8Avx2 = {
    .name = "peak_u8s8/avx2", .isa = IsaLevel::kAvx2, .integer = true, .run = &PeakU8S8<Avx2>::run};

extern const PeakKernel kPeakF32Avx2;
constinit const PeakKernel kPeakF32Avx2 = {.name = "peak_f32/avx2",
                                           .isa = IsaLevel::kAvx2,
                                           .integer = false,
                                           .run = &PeakF32<Avx2F32>::run};

}  // namespace intact
