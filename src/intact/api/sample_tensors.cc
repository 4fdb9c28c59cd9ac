#include "api/sample_tensors.h"

namespace intact {

OwnedTensor owned(const Tensor& tensor) {
  return {std::string(name_of(tensor.dtype())), tensor.shape(), tensor.raw(), tensor.bytes(),
          tensor.buffer()};
}

ValueDescription describe_value(const Value& value) {
  ValueDescription d;
  d.name = value.name;
  d.dtype = std::string(name_of(value.type.dtype));
  d.has_shape = value.type.shape.has_value();
  if (!d.has_shape) return d;
  for (const Dim& dim : *value.type.shape) {
    d.shape.push_back(dim.known() ? dim.size : -1);
    d.symbols.push_back(dim.known() ? std::string() : dim.symbol);
  }
  return d;
}

}  // namespace intact
