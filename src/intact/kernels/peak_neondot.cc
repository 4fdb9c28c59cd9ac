#include "kernels/isa/neondot.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakU8S8NeonDot;
constinit const PeakKernel kPeakU8S8NeonDot = {.name = "peak_u8s8/neondot",
                                               .isa = IsaLevel::kNeonDot,
                                               .integer = true,
                                               .run = &PeakU8S8<NeonDot>::run};

}  // namespace intact
