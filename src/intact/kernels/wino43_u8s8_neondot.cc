#include "kernels/isa/neondot.h"
#include "kernels/wino43_u8s8.inl.h"

namespace intact {

extern const Wino43U8S8Kernel kWino43U8S8NeonDot;
constinit const Wino43U8S8Kernel kWino43U8S8NeonDot = {
    .name = "wino43_u8s8/neondot",
    .isa = IsaLevel::kNeonDot,
    .tile_m = NeonDot::kTileM[NeonDot::kMaxPanels],
    .tile_panels = NeonDot::kMaxPanels,
    .packed_bytes = &Wino43U8S8<NeonDot>::packed_bytes,
    .pack = &Wino43U8S8<NeonDot>::pack,
    .scratch_bytes = &Wino43U8S8<NeonDot>::scratch_bytes,
    .run = &Wino43U8S8<NeonDot>::run};

}  // namespace intact
