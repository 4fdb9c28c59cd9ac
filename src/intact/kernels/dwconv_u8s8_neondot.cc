#include "kernels/dwconv_u8s8.inl.h"
#include "kernels/isa/neondot.h"

namespace intact {

using Dwconv = DwconvU8S8<NeonDot, NeonDot>;
extern const DwconvU8S8Kernel kDwconvU8S8NeonDot;
constinit const DwconvU8S8Kernel kDwconvU8S8NeonDot = {.name = "dwconv_u8s8/neondot",
                                                       .isa = IsaLevel::kNeonDot,
                                                       .packed_bytes = &Dwconv::packed_bytes,
                                                       .pack = &Dwconv::pack,
                                                       .scratch_bytes = &Dwconv::scratch_bytes,
                                                       .run = &Dwconv::run};

}  // namespace intact
