#include "kernels/dwconv_u8s8.inl.h"
#include "kernels/isa/vnni256.h"

namespace intact {

using Dwconv = DwconvU8S8<AvxVnni, AvxVnni>;
extern const DwconvU8S8Kernel kDwconvU8S8AvxVnni;
constinit const DwconvU8S8Kernel kDwconvU8S8AvxVnni = {.name = "dwconv_u8s8/avxvnni",
                                                       .isa = IsaLevel::kAvxVnni,
                                                       .packed_bytes = &Dwconv::packed_bytes,
                                                       .pack = &Dwconv::pack,
                                                       .scratch_bytes = &Dwconv::scratch_bytes,
                                                       .run = &Dwconv::run};

}  // namespace intact
