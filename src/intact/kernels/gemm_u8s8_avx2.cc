#include "kernels/gemm_u8s8.inl.h"
#include "kernels/isa/avx2.h"

namespace intact {

extern const GemmU8S8Kernel kGemmU8S8Avx2;
constinit const GemmU8S8Kernel kGemmU8S8Avx2 = {.name = "gemm_u8s8/avx2",
                                                .isa = IsaLevel::kAvx2,
                                                .tile_m = Avx2::kTileM[Avx2::kMaxPanels],
                                                .tile_panels = Avx2::kMaxPanels,
                                                .packed_bytes = &GemmPack<Avx2>::packed_bytes,
                                                .pack_b = &GemmPack<Avx2>::pack_b,
                                                .make_init = &GemmPack<Avx2>::make_init,
                                                .scratch_bytes = &GemmU8S8<Avx2>::scratch_bytes,
                                                .run = &GemmU8S8<Avx2>::run};

}  // namespace intact
