#include "kernels/isa/avx512vnni.h"
#include "kernels/pool_u8.inl.h"

namespace intact {

extern const PoolU8Kernel kPoolU8Avx512Vnni;
constinit const PoolU8Kernel kPoolU8Avx512Vnni = {
    .name = "pool_u8/avx512vnni",
    .isa = IsaLevel::kAvx512Vnni,
    .scratch_bytes = &PoolU8<Avx512Vnni>::scratch_bytes,
    .max = &PoolU8<Avx512Vnni>::max,
    .average = &PoolU8<Avx512Vnni>::average};

}  // namespace intact
