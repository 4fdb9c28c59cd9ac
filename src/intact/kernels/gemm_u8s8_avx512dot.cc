#include "kernels/gemm_u8s8.inl.h"
#include "kernels/isa/vnni256.h"

namespace intact {

extern const GemmU8S8Kernel kGemmU8S8Avx512Dot;
constinit const GemmU8S8Kernel kGemmU8S8Avx512Dot = {
    .name = "gemm_u8s8/avx512dot",
    .isa = IsaLevel::kAvx512Dot,
    .tile_m = Avx512Dot::kTileM[Avx512Dot::kMaxPanels],
    .tile_panels = Avx512Dot::kMaxPanels,
    .packed_bytes = &GemmPack<Avx512Dot>::packed_bytes,
    .pack_b = &GemmPack<Avx512Dot>::pack_b,
    .make_init = &GemmPack<Avx512Dot>::make_init,
    .scratch_bytes = &GemmU8S8<Avx512Dot>::scratch_bytes,
    .run = &GemmU8S8<Avx512Dot>::run};

}  // namespace intact
