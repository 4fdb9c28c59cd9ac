#include "onnx/import_type.h"

#include <fmt/format.h>

#include <utility>

#include "base/shape.h"
#include "onnx/import_tensor.h"

namespace intact {

Result<ValueType> type_from_onnx(const proto::TypeProto& type, bool strict) {
  ValueType out;
  if (!type.has_tensor_type()) {
    if (!strict || type.value_case() == proto::TypeProto::VALUE_NOT_SET) return out;
    return fail(ErrorCode::kUnsupported,
                "it is a sequence, map, optional or sparse tensor, and only tensors are supported");
  }
  const proto::TypeProto::Tensor& tensor = type.tensor_type();
  if (const auto dtype = dtype_from_onnx(tensor.elem_type())) {
    out.dtype = *dtype;
  } else if (strict && tensor.elem_type() != 0) {
    return fail(ErrorCode::kUnsupported, fmt::format("tensors of type {} are not supported",
                                                     onnx_type_name(tensor.elem_type())));
  }
  if (!tensor.has_shape()) return out;
  const auto rank = static_cast<std::size_t>(tensor.shape().dim_size());
  Shape known;  // The sizes that are numbers, for the limits of check_shape.
  out.shape.emplace();
  out.shape->reserve(std::min<std::size_t>(rank, kMaxRank));
  if (rank > kMaxRank)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("it has {} dimensions; the limit is {}", rank, kMaxRank));
  for (const auto& dim : tensor.shape().dim()) {
    // Some exporters write -1 where they know no size.
    if (dim.has_dim_value() && dim.dim_value() != -1) {
      if (dim.dim_value() < 0)
        return fail(ErrorCode::kInvalidModel,
                    fmt::format("dimension {} is {}; write a name such as 'N' for a size that is "
                                "not fixed",
                                out.shape->size(), dim.dim_value()));
      known.push_back(dim.dim_value());
      out.shape->emplace_back(dim.dim_value());
    } else {
      out.shape->push_back(Dim::symbolic(dim.dim_param()));
    }
  }
  INTACT_TRY(check_shape(known));
  return out;
}

}  // namespace intact
