#include "kernels/isa/f32_avx512.h"
#include "kernels/rows_f32.inl.h"

namespace intact {

extern const RowsF32Kernel kRowsF32Avx512;
constinit const RowsF32Kernel kRowsF32Avx512 = {.name = "rows_f32/avx512",
                                                .isa = IsaLevel::kAvx512,
                                                .reduce_last = &RowsF32<Avx512F32>::reduce_last,
                                                .reduce_first = &RowsF32<Avx512F32>::reduce_first,
                                                .softmax_last = &RowsF32<Avx512F32>::softmax_last,
                                                .softmax_first = &RowsF32<Avx512F32>::softmax_first,
                                                .layer_norm = &RowsF32<Avx512F32>::layer_norm};

}  // namespace intact
