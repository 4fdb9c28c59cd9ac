#include "kernels/isa/scalar.h"
#include "kernels/wino43_u8s8.inl.h"

namespace intact {

extern const Wino43U8S8Kernel kWino43U8S8Scalar;
constinit const Wino43U8S8Kernel kWino43U8S8Scalar = {
    .name = "wino43_u8s8/scalar",
    .isa = IsaLevel::kScalar,
    .tile_m = Scalar::kTileM[Scalar::kMaxPanels],
    .tile_panels = Scalar::kMaxPanels,
    .packed_bytes = &Wino43U8S8<Scalar>::packed_bytes,
    .pack = &Wino43U8S8<Scalar>::pack,
    .scratch_bytes = &Wino43U8S8<Scalar>::scratch_bytes,
    .run = &Wino43U8S8<Scalar>::run};

}  // namespace intact
