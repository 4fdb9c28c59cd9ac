#include "kernels/gemm_u8s8.inl.h"
#include "kernels/isa/scalar.h"

namespace intact {

extern const GemmU8S8Kernel kGemmU8S8Scalar;
constinit const GemmU8S8Kernel kGemmU8S8Scalar = {.name = "gemm_u8s8/scalar",
                                                  .isa = IsaLevel::kScalar,
                                                  .tile_m = Scalar::kTileM[Scalar::kMaxPanels],
                                                  .tile_panels = Scalar::kMaxPanels,
                                                  .packed_bytes = &GemmPack<Scalar>::packed_bytes,
                                                  .pack_b = &GemmPack<Scalar>::pack_b,
                                                  .make_init = &GemmPack<Scalar>::make_init,
                                                  .scratch_bytes = &GemmU8S8<Scalar>::scratch_bytes,
                                                  .run = &GemmU8S8<Scalar>::run};

}  // namespace intact
