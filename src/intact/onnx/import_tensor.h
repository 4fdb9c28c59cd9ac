// import_tensor.h: one TensorProto to a tensor.
#pragma once

#include <optional>
#include <string>

#include "base/tensor.h"
#include "intact/result.h"
#include "onnx/external_data.h"
#include "onnx/onnx.pb.h"

namespace intact {

// Returns the type with that number, or nothing when tensors cannot have it here.
std::optional<Dtype> dtype_from_onnx(std::int32_t data_type);

// Returns "FLOAT8E4M3FN" or "77 (unknown)".
std::string onnx_type_name(std::int32_t data_type);

// Returns the tensor, taking its raw_data out of `t`. What is changed: bool bytes become 0 or 1,
// and the unused half byte of an odd number of 4-bit elements becomes 0, so that equal tensors have
// equal bytes. Errors: import.h; messages say "it" for the tensor, so callers name it as context.
Result<Tensor> take_tensor(proto::TensorProto& t, ExternalData& external);

}  // namespace intact
