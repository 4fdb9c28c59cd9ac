#include "kernels/isa/f32_avx512.h"
#include "kernels/window_f32.inl.h"

namespace intact {

extern const WindowF32Kernel kWindowF32Avx512;
constinit const WindowF32Kernel kWindowF32Avx512 = {.name = "window_f32/avx512",
                                                    .isa = IsaLevel::kAvx512,
                                                    .depthwise = &WindowF32<Avx512F32>::depthwise,
                                                    .max = &WindowF32<Avx512F32>::max,
                                                    .average = &WindowF32<Avx512F32>::average};

}  // namespace intact
