#include "kernels/channels_u8.inl.h"
#include "kernels/isa/avx2.h"

namespace intact {

extern const ChannelsU8Kernel kChannelsU8Avx2;
constinit const ChannelsU8Kernel kChannelsU8Avx2 = {.name = "channels_u8/avx2",
                                                    .isa = IsaLevel::kAvx2,
                                                    .width = Avx2::kPickBytes,
                                                    .run = &ChannelsU8<Avx2>::run};

}  // namespace intact
