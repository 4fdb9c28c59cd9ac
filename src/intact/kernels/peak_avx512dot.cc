#include "kernels/isa/vnni256.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakU8S8Avx512Dot;
constinit const PeakKernel kPeakU8S8Avx512Dot = {.name = "peak_u8s8/avx512dot",
                                                 .isa = IsaLevel::kAvx512Dot,
                                                 .integer = true,
                                                 .run = &PeakU8S8<Avx512Dot>::run};

}  // namespace intact
