#include "calib/byte_outputs.h"

#include <fmt/format.h>

#include <charconv>

namespace intact {
namespace {

constexpr std::string_view kPrefix = "intact.output.";
constexpr std::string_view kScale = "uint8,scale=";
constexpr std::string_view kZero = ",zero_point=";

// Puts a node with that scale and zero point behind the output, which gives it its name.
void put_behind(Graph& graph, std::size_t output, const char* op, const Affine& map, Dtype dtype,
                std::string_view suffix) {
  ValueId& out = graph.outputs[output];
  const std::string name = graph.value(out).name;
  std::string inner = name + std::string(suffix);
  while (graph.find_value(inner)) inner += '_';
  ValueType type = graph.value(out).type;
  type.dtype = dtype;
  graph.rename(out, inner);
  Node node;
  node.name = inner + "_" + op;
  node.op = op;
  node.inputs = {
      out, graph.add_constant(inner + "_scale", Tensor::scalar<float>(map.scale)),
      graph.add_constant(inner + "_zero",
                         Tensor::scalar<std::uint8_t>(static_cast<std::uint8_t>(map.zero_point)))};
  out = graph.add_node(std::move(node), name, std::move(type));
}

}  // namespace

void code_output(Graph& graph, std::size_t output, const Affine& map) {
  graph.metadata[std::string(kPrefix) + graph.value(graph.outputs[output]).name] =
      fmt::format("{}{}{}{}", kScale, map.scale, kZero, map.zero_point);
  put_behind(graph, output, "QuantizeLinear", map, Dtype::kUint8, "_real");
}

std::map<std::string, Affine> output_maps_of(const std::map<std::string, std::string>& metadata) {
  std::map<std::string, Affine> maps;
  for (const auto& [key, words] : metadata) {
    const auto zero = words.find(kZero);
    if (!key.starts_with(kPrefix) || !words.starts_with(kScale) || zero == std::string::npos)
      continue;
    Affine map{0, 0, {0, 255}};
    const char* const end = words.data() + words.size();
    const auto s = std::from_chars(words.data() + kScale.size(), end, map.scale);
    const auto z = std::from_chars(words.data() + zero + kZero.size(), end, map.zero_point);
    if (s.ec == std::errc() && s.ptr == words.data() + zero && z.ec == std::errc() &&
        z.ptr == end && map.scale > 0 && map.zero_point >= 0 && map.zero_point <= 255)
      maps[key.substr(kPrefix.size())] = map;
  }
  return maps;
}

void dequantize_outputs(Graph& graph) {
  const auto maps = output_maps_of(graph.metadata);
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const Value& out = graph.value(graph.outputs[i]);
    const auto map = maps.find(out.name);
    if (map != maps.end() && out.type.dtype == Dtype::kUint8)
      put_behind(graph, i, "DequantizeLinear", map->second, Dtype::kFloat32, "_codes");
  }
}

}  // namespace intact
