#include "kernels/channels_u8.inl.h"
#include "kernels/isa/scalar.h"

namespace intact {

extern const ChannelsU8Kernel kChannelsU8Scalar;
constinit const ChannelsU8Kernel kChannelsU8Scalar = {.name = "channels_u8/scalar",
                                                      .isa = IsaLevel::kScalar,
                                                      .width = Scalar::kPickBytes,
                                                      .run = &ChannelsU8<Scalar>::run};

}  // namespace intact
