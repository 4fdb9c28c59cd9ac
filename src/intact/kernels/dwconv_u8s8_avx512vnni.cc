#include "kernels/dwconv_u8s8.inl.h"
#include "kernels/isa/avx512vnni.h"
#include "kernels/isa/avx512vnni_half.h"

namespace intact {

using Dwconv = DwconvU8S8<Avx512Vnni, Avx512VnniHalf>;
extern const DwconvU8S8Kernel kDwconvU8S8Avx512Vnni;
constinit const DwconvU8S8Kernel kDwconvU8S8Avx512Vnni = {.name = "dwconv_u8s8/avx512vnni",
                                                          .isa = IsaLevel::kAvx512Vnni,
                                                          .packed_bytes = &Dwconv::packed_bytes,
                                                          .pack = &Dwconv::pack,
                                                          .scratch_bytes = &Dwconv::scratch_bytes,
                                                          .run = &Dwconv::run};

}  // namespace intact
