#include "kernels/dwconv_u8s8.inl.h"
#include "kernels/isa/vnni256.h"

namespace intact {

using Dwconv = DwconvU8S8<Avx512Dot, Avx512Dot>;
extern const DwconvU8S8Kernel kDwconvU8S8Avx512Dot;
constinit const DwconvU8S8Kernel kDwconvU8S8Avx512Dot = {.name = "dwconv_u8s8/avx512dot",
                                                         .isa = IsaLevel::kAvx512Dot,
                                                         .packed_bytes = &Dwconv::packed_bytes,
                                                         .pack = &Dwconv::pack,
                                                         .scratch_bytes = &Dwconv::scratch_bytes,
                                                         .run = &Dwconv::run};

}  // namespace intact
