#include "kernels/isa/vnni256.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakU8S8AvxVnni;
constinit const PeakKernel kPeakU8S8AvxVnni = {.name = "peak_u8s8/avxvnni",
                                               .isa = IsaLevel::kAvxVnni,
                                               .integer = true,
                                               .run = &PeakU8S8<AvxVnni>::run};

}  // namespace intact
