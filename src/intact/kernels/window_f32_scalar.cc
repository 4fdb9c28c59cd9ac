#include "kernels/isa/f32_scalar.h"
#include "kernels/window_f32.inl.h"

namespace intact {

extern const WindowF32Kernel kWindowF32Scalar;
constinit const WindowF32Kernel kWindowF32Scalar = {.name = "window_f32/scalar",
                                                    .isa = IsaLevel::kScalar,
                                                    .depthwise = &WindowF32<ScalarF32>::depthwise,
                                                    .max = &WindowF32<ScalarF32>::max,
                                                    .average = &WindowF32<ScalarF32>::average};

}  // namespace intact
