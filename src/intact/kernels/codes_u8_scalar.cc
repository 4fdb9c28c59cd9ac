#include "kernels/codes_u8.inl.h"
#include "kernels/isa/scalar.h"

namespace intact {

extern const CodesU8Kernel kCodesU8Scalar;
constinit const CodesU8Kernel kCodesU8Scalar = {
    .name = "codes_u8/scalar",
    .isa = IsaLevel::kScalar,
    .lut = &CodesU8<Scalar>::lut,
    .quantize = &CodesU8<Scalar>::quantize,
    .quantize_cols = &CodesU8<Scalar>::quantize_cols,
    .quantize_planes = &CodesU8<Scalar>::quantize_planes,
    .dequantize = &CodesU8<Scalar>::dequantize,
    .add = &CodesU8<Scalar>::add,
    .mul = &CodesU8<Scalar>::mul,
    .encode = &CodesU8<Scalar>::encode,
    .arithmetic = &CodesU8<Scalar>::arithmetic,
    .softmax = &CodesU8<Scalar>::softmax,
    .interleave = &CodesU8<Scalar>::interleave};

}  // namespace intact
