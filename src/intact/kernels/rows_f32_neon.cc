#include "kernels/isa/f32_neon.h"
#include "kernels/rows_f32.inl.h"

namespace intact {

extern const RowsF32Kernel kRowsF32Neon;
constinit const RowsF32Kernel kRowsF32Neon = {.name = "rows_f32/neon",
                                              .isa = IsaLevel::kNeon,
                                              .reduce_last = &RowsF32<NeonF32>::reduce_last,
                                              .reduce_first = &RowsF32<NeonF32>::reduce_first,
                                              .softmax_last = &RowsF32<NeonF32>::softmax_last,
                                              .softmax_first = &RowsF32<NeonF32>::softmax_first,
                                              .layer_norm = &RowsF32<NeonF32>::layer_norm};

}  // namespace intact
