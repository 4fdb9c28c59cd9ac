#include "kernels/isa/avx512vnni.h"
#include "kernels/peak.inl.h"

namespace intact {

extern const PeakKernel kPeakU8S8Avx512Vnni;
constinit const PeakKernel kPeakU8S8Avx512Vnni = {.name = "peak_u8s8/avx512vnni",
                                                  .isa = IsaLevel::kAvx512Vnni,
                                                  .integer = true,
                                                  .run = &PeakU8S8<Avx512Vnni>::run};

}  // namespace intact
