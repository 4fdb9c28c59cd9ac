#include "kernels/isa/vnni256.h"
#include "kernels/wino43_u8s8.inl.h"

namespace intact {

extern const Wino43U8S8Kernel kWino43U8S8AvxVnni;
constinit const Wino43U8S8Kernel kWino43U8S8AvxVnni = {
    .name = "wino43_u8s8/avxvnni",
    .isa = IsaLevel::kAvxVnni,
    .tile_m = AvxVnni::kTileM[AvxVnni::kMaxPanels],
    .tile_panels = AvxVnni::kMaxPanels,
    .packed_bytes = &Wino43U8S8<AvxVnni>::packed_bytes,
    .pack = &Wino43U8S8<AvxVnni>::pack,
    .scratch_bytes = &Wino43U8S8<AvxVnni>::scratch_bytes,
    .run = &Wino43U8S8<AvxVnni>::run};

}  // namespace intact
