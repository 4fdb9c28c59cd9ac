#include "kernels/elementwise_f32.inl.h"
#include "kernels/isa/f32_avx2.h"

namespace intact {

extern const ElementwiseF32Kernel kElementwiseF32Avx2;
constinit const ElementwiseF32Kernel kElementwiseF32Avx2 = {
    .name = "elementwise_f32/avx2",
    .isa = IsaLevel::kAvx2,
    .unary = &ElementwiseF32<Avx2F32>::unary,
    .binary = &ElementwiseF32<Avx2F32>::binary};

}  // namespace intact
