#include "kernels/isa/avx512vnni.h"
#include "kernels/wino43_u8s8.inl.h"

namespace intact {

extern const Wino43U8S8Kernel kWino43U8S8Avx512Vnni;
constinit const Wino43U8S8Kernel kWino43U8S8Avx512Vnni = {
    .name = "wino43_u8s8/avx512vnni",
    .isa = IsaLevel::kAvx512Vnni,
    .tile_m = Avx512Vnni::kTileM[Avx512Vnni::kMaxPanels],
    .tile_panels = Avx512Vnni::kMaxPanels,
    .packed_bytes = &Wino43U8S8<Avx512Vnni>::packed_bytes,
    .pack = &Wino43U8S8<Avx512Vnni>::pack,
    .scratch_bytes = &Wino43U8S8<Avx512Vnni>::scratch_bytes,
    .run = &Wino43U8S8<Avx512Vnni>::run};

}  // namespace intact
