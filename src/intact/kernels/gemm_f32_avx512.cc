#include "kernels/gemm_f32.inl.h"
#include "kernels/isa/f32_avx2.h"
#include "kernels/isa/f32_avx512.h"

namespace intact {

using GemmAvx512F32 = GemmF32<Avx512F32, 8, 3, Avx2F32, 12>;
extern const GemmF32Kernel kGemmF32Avx512;
constinit const GemmF32Kernel kGemmF32Avx512 = {.name = "gemm_f32/avx512",
                                                .isa = IsaLevel::kAvx512,
                                                .tile_m = 8,
                                                .tile_panels = 3,
                                                .pack_b = &GemmAvx512F32::pack_b,
                                                .run = &GemmAvx512F32::run};

}  // namespace intact
