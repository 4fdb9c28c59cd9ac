#include "kernels/channels_u8.inl.h"
#include "kernels/isa/neondot.h"

namespace intact {

extern const ChannelsU8Kernel kChannelsU8NeonDot;
constinit const ChannelsU8Kernel kChannelsU8NeonDot = {.name = "channels_u8/neondot",
                                                       .isa = IsaLevel::kNeonDot,
                                                       .width = NeonDot::kPickBytes,
                                                       .run = &ChannelsU8<NeonDot>::run};

}  // namespace intact
