#include "kernels/isa/scalar.h"
#include "kernels/peak_dot.inl.h"

namespace intact {

extern const PeakDotKernel kPeakDotScalar;
constinit const PeakDotKernel kPeakDotScalar = {.name = "peak_dot/scalar",
                                                .isa = IsaLevel::kScalar,
                                                .macs = PeakDot<Scalar>::kMacs,
                                                .run = &PeakDot<Scalar>::run};

}  // namespace intact
