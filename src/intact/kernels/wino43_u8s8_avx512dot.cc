#include "kernels/isa/vnni256.h"
#include "kernels/wino43_u8s8.inl.h"

namespace intact {

extern const Wino43U8S8Kernel kWino43U8S8Avx512Dot;
constinit const Wino43U8S8Kernel kWino43U8S8Avx512Dot = {
    .name = "wino43_u8s8/avx512dot",
    .isa = IsaLevel::kAvx512Dot,
    .tile_m = Avx512Dot::kTileM[Avx512Dot::kMaxPanels],
    .tile_panels = Avx512Dot::kMaxPanels,
    .packed_bytes = &Wino43U8S8<Avx512Dot>::packed_bytes,
    .pack = &Wino43U8S8<Avx512Dot>::pack,
    .scratch_bytes = &Wino43U8S8<Avx512Dot>::scratch_bytes,
    .run = &Wino43U8S8<Avx512Dot>::run};

}  // namespace intact
