#include "api/sample_reader.h"

#include <fmt/format.h>

namespace intact {
namespace {

// A tensor as an input of that type takes it: itself, or its other form where the input has a map.
// Errors: those of bytes_of and reals_of (quant/byte_map.h), naming the input.
Result<Tensor> in_form(Tensor tensor, Dtype wanted, const std::string& input,
                       const ByteMaps& maps) {
  const auto map = maps.find(input);
  const bool from_bytes = tensor.dtype() == Dtype::kUint8;
  if (map == maps.end() || tensor.dtype() == wanted ||
      !(from_bytes || tensor.dtype() == Dtype::kFloat32))
    return tensor;
  auto converted = from_bytes ? reals_of(tensor, map->second) : bytes_of(tensor, map->second);
  if (!converted) return fail(converted.error().with_context(fmt::format("input '{}'", input)));
  return converted;
}

}  // namespace

SampleReader::SampleReader(const Graph& graph, ByteMaps maps) : maps_(std::move(maps)) {
  maps_.merge(byte_maps_of(graph.metadata));
  for (const ValueId id : graph.inputs)
    inputs_.push_back({graph.value(id).name, graph.value(id).type.dtype});
}

Result<std::vector<Tensor>> SampleReader::read(const SampleInputs& sample) const {
  std::vector<Tensor> tensors;
  for (const Input& input : inputs_) {
    const auto it = sample.find(input.name);
    if (it == sample.end()) {
      std::string names;
      for (const auto& [name, tensor] : sample)
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("input '{}' is missing; the sample has {}", input.name,
                              names.empty() ? "none" : names));
    }
    const auto dtype = dtype_from_name(it->second.dtype);
    const bool either =
        maps_.contains(input.name) && (dtype == Dtype::kUint8 || dtype == Dtype::kFloat32);
    if (!dtype || (input.dtype != Dtype::kUndefined && *dtype != input.dtype && !either))
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("input '{}' is {}; the model expects {}", input.name,
                              it->second.dtype, name_of(input.dtype)));
    INTACT_TRY(check_shape(it->second.shape));
    const std::size_t bytes = bytes_of(*dtype, num_elements(it->second.shape));
    if (it->second.bytes < bytes)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("input '{}' has fewer bytes than its shape says", input.name));
    Tensor given(*dtype, it->second.shape,
                 Buffer::wrap({static_cast<std::byte*>(it->second.data), bytes}, it->second.owner));
    INTACT_ASSIGN(Tensor tensor, in_form(std::move(given), input.dtype, input.name, maps_));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace intact
