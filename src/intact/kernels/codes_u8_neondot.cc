#include "kernels/codes_u8.inl.h"
#include "kernels/isa/neondot.h"

namespace intact {

extern const CodesU8Kernel kCodesU8NeonDot;
constinit const CodesU8Kernel kCodesU8NeonDot = {
    .name = "codes_u8/neondot",
    .isa = IsaLevel::kNeonDot,
    .lut = &CodesU8<NeonDot>::lut,
    .quantize = &CodesU8<NeonDot>::quantize,
    .quantize_cols = &CodesU8<NeonDot>::quantize_cols,
    .quantize_planes = &CodesU8<NeonDot>::quantize_planes,
    .dequantize = &CodesU8<NeonDot>::dequantize,
    .add = &CodesU8<NeonDot>::add,
    .mul = &CodesU8<NeonDot>::mul,
    .encode = &CodesU8<NeonDot>::encode,
    .arithmetic = &CodesU8<NeonDot>::arithmetic,
    .softmax = &CodesU8<NeonDot>::softmax,
    .interleave = &CodesU8<NeonDot>::interleave};

}  // namespace intact
