#include "kernels/isa/f32_scalar.h"
#include "kernels/rows_f32.inl.h"

namespace intact {

extern const RowsF32Kernel kRowsF32Scalar;
constinit const RowsF32Kernel kRowsF32Scalar = {.name = "rows_f32/scalar",
                                                .isa = IsaLevel::kScalar,
                                                .reduce_last = &RowsF32<ScalarF32>::reduce_last,
                                                .reduce_first = &RowsF32<ScalarF32>::reduce_first,
                                                .softmax_last = &RowsF32<ScalarF32>::softmax_last,
                                                .softmax_first = &RowsF32<ScalarF32>::softmax_first,
                                                .layer_norm = &RowsF32<ScalarF32>::layer_norm};

}  // namespace intact
