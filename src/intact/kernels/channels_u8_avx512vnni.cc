#include "kernels/channels_u8.inl.h"
#include "kernels/isa/avx512vnni.h"

namespace intact {

extern const ChannelsU8Kernel kChannelsU8Avx512Vnni;
constinit const ChannelsU8Kernel kChannelsU8Avx512Vnni = {.name = "channels_u8/avx512vnni",
                                                          .isa = IsaLevel::kAvx512Vnni,
                                                          .width = Avx512Vnni::kPickBytes,
                                                          .run = &ChannelsU8<Avx512Vnni>::run};

}  // namespace intact
