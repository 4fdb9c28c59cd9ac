#include "kernels/gemm_f32.inl.h"
#include "kernels/isa/f32_scalar.h"

namespace intact {

using GemmScalarF32 = GemmF32<ScalarF32, 1, 1>;
extern const GemmF32Kernel kGemmF32Scalar;
constinit const GemmF32Kernel kGemmF32Scalar = {.name = "gemm_f32/scalar",
                                                .isa = IsaLevel::kScalar,
                                                .tile_m = 1,
                                                .tile_panels = 1,
                                                .pack_b = &GemmScalarF32::pack_b,
                                                .run = &GemmScalarF32::run};

}  // namespace intact
