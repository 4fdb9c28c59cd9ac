#include "kernels/codes_u8.inl.h"
#include "kernels/isa/avx2.h"

namespace intact {

extern const CodesU8Kernel kCodesU8Avx2;
constinit const CodesU8Kernel kCodesU8Avx2 = {.name = "codes_u8/avx2",
                                              .isa = IsaLevel::kAvx2,
                                              .lut = &CodesU8<Avx2>::lut,
                                              .quantize = &CodesU8<Avx2>::quantize,
                                              .quantize_cols = &CodesU8<Avx2>::quantize_cols,
                                              .quantize_planes = &CodesU8<Avx2>::quantize_planes,
                                              .dequantize = &CodesU8<Avx2>::dequantize,
                                              .add = &CodesU8<Avx2>::add,
                                              .mul = &CodesU8<Avx2>::mul,
                                              .encode = &CodesU8<Avx2>::encode,
                                              .arithmetic = &CodesU8<Avx2>::arithmetic,
                                              .softmax = &CodesU8<Avx2>::softmax,
                                              .interleave = &CodesU8<Avx2>::interleave};

}  // namespace intact
