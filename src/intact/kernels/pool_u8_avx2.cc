#include "kernels/isa/avx2.h"
#include "kernels/pool_u8.inl.h"

namespace intact {

extern const PoolU8Kernel kPoolU8Avx2;
constinit const PoolU8Kernel kPoolU8Avx2 = {.name = "pool_u8/avx2",
                                            .isa = IsaLevel::kAvx2,
                                            .scratch_bytes = &PoolU8<Avx2>::scratch_bytes,
                                            .max = &PoolU8<Avx2>::max,
                                            .average = &PoolU8<Avx2>::average};

}  // namespace intact
