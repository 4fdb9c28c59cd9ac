#include "kernels/dwconv_u8s8.inl.h"
#include "kernels/isa/avx2.h"

namespace intact {

using Dwconv = DwconvU8S8<Avx2, Avx2>;
extern const DwconvU8S8Kernel kDwconvU8S8Avx2;
constinit const DwconvU8S8Kernel kDwconvU8S8Avx2 = {.name = "dwconv_u8s8/avx2",
                                                    .isa = IsaLevel::kAvx2,
                                                    .packed_bytes = &Dwconv::packed_bytes,
                                                    .pack = &Dwconv::pack,
                                                    .scratch_bytes = &Dwconv::scratch_bytes,
                                                    .run = &Dwconv::run};

}  // namespace intact
