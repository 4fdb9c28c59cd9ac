#include "kernels/dwconv_u8s8.inl.h"
#include "kernels/isa/scalar.h"

namespace intact {

using Dwconv = DwconvU8S8<Scalar, Scalar>;
extern const DwconvU8S8Kernel kDwconvU8S8Scalar;
constinit const DwconvU8S8Kernel kDwconvU8S8Scalar = {.name = "dwconv_u8s8/scalar",
                                                      .isa = IsaLevel::kScalar,
                                                      .packed_bytes = &Dwconv::packed_bytes,
                                                      .pack = &Dwconv::pack,
                                                      .scratch_bytes = &Dwconv::scratch_bytes,
                                                      .run = &Dwconv::run};

}  // namespace intact
