#include "kernels/isa/avx2.h"
#include "kernels/peak_dot.inl.h"

namespace intact {

extern const PeakDotKernel kPeakDotAvx2;
constinit const PeakDotKernel kPeakDotAvx2 = {.name = "peak_dot/avx2",
                                              .isa = IsaLevel::kAvx2,
                                              .macs = PeakDot<Avx2>::kMacs,
                                              .run = &PeakDot<Avx2>::run};

}  // namespace intact
