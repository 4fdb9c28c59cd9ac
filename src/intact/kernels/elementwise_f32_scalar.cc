#include "kernels/elementwise_f32.inl.h"
#include "kernels/isa/f32_scalar.h"

namespace intact {

extern const ElementwiseF32Kernel kElementwiseF32Scalar;
constinit const ElementwiseF32Kernel kElementwiseF32Scalar = {
    .name = "elementwise_f32/scalar",
    .isa = IsaLevel::kScalar,
    .unary = &ElementwiseF32<ScalarF32>::unary,
    .binary = &ElementwiseF32<ScalarF32>::binary};

}  // namespace intact
