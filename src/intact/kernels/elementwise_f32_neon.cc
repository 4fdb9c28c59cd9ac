#include "kernels/elementwise_f32.inl.h"
#include "kernels/isa/f32_neon.h"

namespace intact {

extern const ElementwiseF32Kernel kElementwiseF32Neon;
constinit const ElementwiseF32Kernel kElementwiseF32Neon = {
    .name = "elementwise_f32/neon",
    .isa = IsaLevel::kNeon,
    .unary = &ElementwiseF32<NeonF32>::unary,
    .binary = &ElementwiseF32<NeonF32>::binary};

}  // namespace intact
