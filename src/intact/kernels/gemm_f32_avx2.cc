#include "kernels/gemm_f32.inl.h"
#include "kernels/isa/f32_avx2.h"

namespace intact {

using GemmAvx2F32 = GemmF32<Avx2F32, 6, 1, Avx2F32, 12>;
extern const GemmF32Kernel kGemmF32Avx2;
constinit const GemmF32Kernel kGemmF32Avx2 = {.name = "gemm_f32/avx2",
                                              .isa = IsaLevel::kAvx2,
                                              .tile_m = 6,
                                              .tile_panels = 1,
                                              .pack_b = &GemmAvx2F32::pack_b,
                                              .run = &GemmAvx2F32::run};

}  // namespace intact
