#include "kernels/elementwise_f32.inl.h"
#include "kernels/isa/f32_avx512.h"

namespace intact {

extern const ElementwiseF32Kernel kElementwiseF32Avx512;
constinit const ElementwiseF32Kernel kElementwiseF32Avx512 = {
    .name = "elementwise_f32/avx512",
    .isa = IsaLevel::kAvx512,
    .unary = &ElementwiseF32<Avx512F32>::unary,
    .binary = &ElementwiseF32<Avx512F32>::binary};

}  // namespace intact
