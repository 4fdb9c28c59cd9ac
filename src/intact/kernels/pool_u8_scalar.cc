#include "kernels/isa/scalar.h"
#include "kernels/pool_u8.inl.h"

namespace intact {

extern const PoolU8Kernel kPoolU8Scalar;
constinit const PoolU8Kernel kPoolU8Scalar = {.name = "pool_u8/scalar",
                                              .isa = IsaLevel::kScalar,
                                              .scratch_bytes = &PoolU8<Scalar>::scratch_bytes,
                                              .max = &PoolU8<Scalar>::max,
                                              .average = &PoolU8<Scalar>::average};

}  // namespace intact
