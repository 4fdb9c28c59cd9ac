#include "kernels/gemm_u8s8.inl.h"
#include "kernels/isa/avx512vnni.h"

namespace intact {

extern const GemmU8S8Kernel kGemmU8S8Avx512Vnni;
constinit const GemmU8S8Kernel kGemmU8S8Avx512Vnni = {
    .name = "gemm_u8s8/avx512vnni",
    .isa = IsaLevel::kAvx512Vnni,
    .tile_m = Avx512Vnni::kTileM[Avx512Vnni::kMaxPanels],
    .tile_panels = Avx512Vnni::kMaxPanels,
    .packed_bytes = &GemmPack<Avx512Vnni>::packed_bytes,
    .pack_b = &GemmPack<Avx512Vnni>::pack_b,
    .make_init = &GemmPack<Avx512Vnni>::make_init,
    .scratch_bytes = &GemmU8S8<Avx512Vnni>::scratch_bytes,
    .run = &GemmU8S8<Avx512Vnni>::run};

}  // namespace intact
