#include "kernels/gemm_f32.inl.h"
#include "kernels/isa/f32_neon.h"

namespace intact {

using GemmNeonF32 = GemmF32<NeonF32, 6, 1>;
extern const GemmF32Kernel kGemmF32Neon;
constinit const GemmF32Kernel kGemmF32Neon = {.name = "gemm_f32/neon",
                                              .isa = IsaLevel::kNeon,
                                              .tile_m = 6,
                                              .tile_panels = 1,
                                              .pack_b = &GemmNeonF32::pack_b,
                                              .run = &GemmNeonF32::run};

}  // namespace intact
