#include "kernels/isa/f32_avx2.h"
#include "kernels/window_f32.inl.h"

namespace intact {

extern const WindowF32Kernel kWindowF32Avx2;
constinit const WindowF32Kernel kWindowF32Avx2 = {.name = "window_f32/avx2",
                                                  .isa = IsaLevel::kAvx2,
                                                  .depthwise = &WindowF32<Avx2F32>::depthwise,
                                                  .max = &WindowF32<Avx2F32>::max,
                                                  .average = &WindowF32<Avx2F32>::average};

}  // namespace intact
