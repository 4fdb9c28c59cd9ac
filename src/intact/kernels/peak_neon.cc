#include "kernels/isa/f32_neon.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakF32Neon;
constinit const PeakKernel kPeakF32Neon = {.name = "peak_f32/neon",
                                           .isa = IsaLevel::kNeon,
                                           .integer = false,
                                           .run = &PeakF32<NeonF32>::run};

}  // namespace intact
