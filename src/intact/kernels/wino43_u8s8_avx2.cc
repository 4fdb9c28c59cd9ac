#include "kernels/isa/avx2.h"
#include "kernels/wino43_u8s8.inl.h"

namespace intact {

extern const Wino43U8S8Kernel kWino43U8S8Avx2;
constinit const Wino43U8S8Kernel kWino43U8S8Avx2 = {
    .name = "wino43_u8s8/avx2",
    .isa = IsaLevel::kAvx2,
    .tile_m = Avx2::kTileM[Avx2::kMaxPanels],
    .tile_panels = Avx2::kMaxPanels,
    .packed_bytes = &Wino43U8S8<Avx2>::packed_bytes,
    .pack = &Wino43U8S8<Avx2>::pack,
    .scratch_bytes = &Wino43U8S8<Avx2>::scratch_bytes,
    .run = &Wino43U8S8<Avx2>::run};

}  // namespace intact
