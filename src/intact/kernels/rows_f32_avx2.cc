#include "kernels/isa/f32_avx2.h"
#include "kernels/rows_f32.inl.h"

namespace intact {

extern const RowsF32Kernel kRowsF32Avx2;
constinit const RowsF32Kernel kRowsF32Avx2 = {.name = "rows_f32/avx2",
                                              .isa = IsaLevel::kAvx2,
                                              .reduce_last = &RowsF32<Avx2F32>::reduce_last,
                                              .reduce_first = &RowsF32<Avx2F32>::reduce_first,
                                              .softmax_last = &RowsF32<Avx2F32>::softmax_last,
                                              .softmax_first = &RowsF32<Avx2F32>::softmax_first,
                                              .layer_norm = &RowsF32<Avx2F32>::layer_norm};

}  // namespace intact
