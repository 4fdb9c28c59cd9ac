#include "kernels/isa/avx512vnni.h"
#include "kernels/peak_dot.inl.h"

namespace intact {

extern const PeakDotKernel kPeakDotAvx512Vnni;
constinit const PeakDotKernel kPeakDotAvx512Vnni = {.name = "peak_dot/avx512vnni",
                                                    .isa = IsaLevel::kAvx512Vnni,
                                                    .macs = PeakDot<Avx512Vnni>::kMacs,
                                                    .run = &PeakDot<Avx512Vnni>::run};

}  // namespace intact
