#include "kernels/gemm_u8s8.inl.h"
#include "kernels/isa/neondot.h"

namespace intact {

extern const GemmU8S8Kernel kGemmU8S8NeonDot;
constinit const GemmU8S8Kernel kGemmU8S8NeonDot = {
    .name = "gemm_u8s8/neondot",
    .isa = IsaLevel::kNeonDot,
    .tile_m = NeonDot::kTileM[NeonDot::kMaxPanels],
    .tile_panels = NeonDot::kMaxPanels,
    .packed_bytes = &GemmPack<NeonDot>::packed_bytes,
    .pack_b = &GemmPack<NeonDot>::pack_b,
    .make_init = &GemmPack<NeonDot>::make_init,
    .scratch_bytes = &GemmU8S8<NeonDot>::scratch_bytes,
    .run = &GemmU8S8<NeonDot>::run};

}  // namespace intact
