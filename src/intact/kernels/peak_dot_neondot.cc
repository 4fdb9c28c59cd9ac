#include "kernels/isa/neondot.h"
#include "kernels/peak_dot.inl.h"

namespace intact {

extern const PeakDotKernel kPeakDotNeonDot;
constinit const PeakDotKernel kPeakDotNeonDot = {.name = "peak_dot/neondot",
                                                 .isa = IsaLevel::kNeonDot,
                                                 .macs = PeakDot<NeonDot>::kMacs,
                                                 .run = &PeakDot<NeonDot>::run};

}  // namespace intact
