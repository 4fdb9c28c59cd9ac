#include "kernels/isa/neondot.h"
#include "kernels/pool_u8.inl.h"

namespace intact {

extern const PoolU8Kernel kPoolU8NeonDot;
constinit const PoolU8Kernel kPoolU8NeonDot = {.name = "pool_u8/neondot",
                                               .isa = IsaLevel::kNeonDot,
                                               .scratch_bytes = &PoolU8<NeonDot>::scratch_bytes,
                                               .max = &PoolU8<NeonDot>::max,
                                               .average = &PoolU8<NeonDot>::average};

}  // namespace intact
