#include "kernels/gemm_u8s8.inl.h"
#include "kernels/isa/vnni256.h"

namespace intact {

extern const GemmU8S8Kernel kGemmU8S8AvxVnni;
constinit const GemmU8S8Kernel kGemmU8S8AvxVnni = {
    .name = "gemm_u8s8/avxvnni",
    .isa = IsaLevel::kAvxVnni,
    .tile_m = AvxVnni::kTileM[AvxVnni::kMaxPanels],
    .tile_panels = AvxVnni::kMaxPanels,
    .packed_bytes = &GemmPack<AvxVnni>::packed_bytes,
    .pack_b = &GemmPack<AvxVnni>::pack_b,
    .make_init = &GemmPack<AvxVnni>::make_init,
    .scratch_bytes = &GemmU8S8<AvxVnni>::scratch_bytes,
    .run = &GemmU8S8<AvxVnni>::run};

}  // namespace intact
