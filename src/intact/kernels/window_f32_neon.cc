#include "kernels/isa/f32_neon.h"
#include "kernels/window_f32.inl.h"

namespace intact {

extern const WindowF32Kernel kWindowF32Neon;
constinit const WindowF32Kernel kWindowF32Neon = {.name = "window_f32/neon",
                                                  .isa = IsaLevel::kNeon,
                                                  .depthwise = &WindowF32<NeonF32>::depthwise,
                                                  .max = &WindowF32<NeonF32>::max,
                                                  .average = &WindowF32<NeonF32>::average};

}  // namespace intact
