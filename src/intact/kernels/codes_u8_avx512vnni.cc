#include "kernels/codes_u8.inl.h"
#include "kernels/isa/avx512vnni.h"

namespace intact {

extern const CodesU8Kernel kCodesU8Avx512Vnni;
constinit const CodesU8Kernel kCodesU8Avx512Vnni = {
    .name = "codes_u8/avx512vnni",
    .isa = IsaLevel::kAvx512Vnni,
    .lut = &CodesU8<Avx512Vnni>::lut,
    .quantize = &CodesU8<Avx512Vnni>::quantize,
    .quantize_cols = &CodesU8<Avx512Vnni>::quantize_cols,
    .quantize_planes = &CodesU8<Avx512Vnni>::quantize_planes,
    .dequantize = &CodesU8<Avx512Vnni>::dequantize,
    .add = &CodesU8<Avx512Vnni>::add,
    .mul = &CodesU8<Avx512Vnni>::mul,
    .encode = &CodesU8<Avx512Vnni>::encode,
    .arithmetic = &CodesU8<Avx512Vnni>::arithmetic,
    .softmax = &CodesU8<Avx512Vnni>::softmax,
    .interleave = &CodesU8<Avx512Vnni>::interleave};

}  // namespace intact
