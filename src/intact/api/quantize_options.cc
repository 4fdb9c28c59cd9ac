#include "api/quantize_options.h"

#include <fmt/format.h>

#include "api/byte_words.h"
#include "base/hash.h"
#include "quant/calibration_file.h"

namespace intact {

Status check_options(const QuantizeOptions& o) {
  if (o.target != "any" && o.target != "tensorrt")
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("target '{}' is not known; choose any or tensorrt", o.target));
  if (o.effort < 0 || o.effort > 2)
    return fail(ErrorCode::kInvalidArgument, fmt::format("effort {} is not 0, 1 or 2", o.effort));
  if (o.weight_range != "minmax" && o.weight_range != "mse")
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("weight range '{}' is not known; choose minmax or mse", o.weight_range));
  if (o.scales != "short" && o.scales != "any")
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("scales '{}' are not known; choose short or any", o.scales));
  if (!o.range.empty()) {
    if (auto m = parse_range_method(o.range); !m) return fail(m.error());
  }
  return {};
}

std::uint64_t hash_options(const QuantizeOptions& o) {
  std::string text = fmt::format("{};{};{};{};{};{};{}", o.target, o.range, o.weight_range,
                                 o.scales, o.effort, o.max_samples, o.verdict);
  for (const auto& p : o.keep_float) text += ";keep " + p;
  for (const auto& p : o.require_int8) text += ";require " + p;
  for (const auto& [input, type] : o.input_types) text += ";input " + input + " " + type;
  for (const auto& [output, type] : o.output_types) text += ";output " + output + " " + type;
  return hash_bytes(std::as_bytes(std::span(text)));
}

Result<RangeMethod> method_of(const QuantizeOptions& o) {
  return parse_range_method(o.range.empty() ? "mse" : o.range);
}

Status take_input_types(Graph& graph, const QuantizeOptions& options) {
  for (const auto& [name, text] : options.input_types) {
    const std::string context = fmt::format("input type of '{}'", name);
    if (options.target == "tensorrt")
      return fail(ErrorCode::kInvalidArgument,
                  context + ": uint8 inputs are for target any; TensorRT takes int8 codes only");
    const auto map = parse_byte_map(text);
    if (!map) return fail(map.error().with_context(context));
    INTACT_TRY(take_byte_input(graph, name, *map));
  }
  return {};
}

Result<std::vector<std::size_t>> byte_outputs_of(const Graph& graph,
                                                 const QuantizeOptions& options) {
  std::vector<std::size_t> outputs;
  for (const auto& [name, type] : options.output_types) {
    const auto bad = [&, &output = name](const std::string& what) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("output type of '{}': {}", output, what));
    };
    if (options.target == "tensorrt")
      return bad("uint8 outputs are for target any; TensorRT takes int8 codes only");
    if (type != "uint8") return bad(fmt::format("'{}' is not known; a type is uint8", type));
    const auto found = find_named(graph, graph.outputs, "output", name);
    if (!found) return bad(found.error().message);
    if (const Dtype dtype = graph.value(graph.outputs[*found]).type.dtype; dtype != Dtype::kFloat32)
      return bad(fmt::format("it is {}; only float32 outputs become codes", name_of(dtype)));
    outputs.push_back(*found);
  }
  return outputs;
}

}  // namespace intact
