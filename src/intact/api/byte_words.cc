#include "api/byte_words.h"

#include <fmt/format.h>

#include "calib/byte_inputs.h"
#include "data/image_prep.h"
#include "intact/quantize.h"

namespace intact {
namespace {

constexpr std::string_view kPrefix = "intact.input.";

std::string numbers(const std::array<double, 3>& v) {
  if (v[0] == v[1] && v[0] == v[2]) return fmt::format("{}", v[0]);
  return fmt::format("{}/{}/{}", v[0], v[1], v[2]);
}

// The words after the type.
std::string words_of(const ByteMap& map) {
  const ByteMap none;
  std::string text;
  if (map.scale != none.scale) text += fmt::format(",scale={}", map.scale);
  if (map.mean != none.mean) text += ",mean=" + numbers(map.mean);
  if (map.std != none.std) text += ",std=" + numbers(map.std);
  return text;
}

ByteMap map_of(const ImagePrep& prep) { return {false, prep.scale, prep.mean, prep.std}; }

}  // namespace

Result<ByteMap> parse_byte_map(const std::string& text) {
  std::string words;  // As --images separates them.
  bool nhwc = false;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const std::string word = text.substr(from, comma - from);
    const std::string key = word.substr(0, word.find('='));
    const bool number = key == "scale" || key == "mean" || key == "std";
    if (from == 0 ? word != "uint8" : word != "nhwc" && (!number || key == word))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is not known; a type is uint8, then ,nhwc ,scale=1/255 "
                              ",mean=0.485/0.456/0.406 ,std=0.229/0.224/0.225 as needed",
                              word));
    nhwc = nhwc || word == "nhwc";
    if (number) words += word + " ";
    from = comma + 1;
  }
  INTACT_ASSIGN(const ImagePrep prep, parse_image_prep(words));
  ByteMap map = map_of(prep);
  map.nhwc = nhwc;
  return map;
}

std::string to_text(const ByteMap& map) {
  return std::string("uint8") + (map.nhwc ? ",nhwc" : "") + words_of(map);
}

Result<std::string> input_type_of(const std::string& type, const std::string& images) {
  if (images.empty() || type.find('=') != std::string::npos) return type;
  INTACT_ASSIGN(const ImagePrep prep, parse_image_prep(images));
  return type + words_of(map_of(prep));
}

ByteMaps byte_maps_of(const std::map<std::string, std::string>& metadata) {
  ByteMaps maps;
  for (const auto& [key, text] : metadata)
    if (key.starts_with(kPrefix))
      if (const auto map = parse_byte_map(text)) maps[key.substr(kPrefix.size())] = *map;
  return maps;
}

Result<std::size_t> find_named(const Graph& graph, std::span<const ValueId> values,
                               std::string_view kind, const std::string& name) {
  std::string names;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string& other = graph.value(values[i]).name;
    if (other == name) return i;
    names += (i == 0 ? "'" : ", '") + other + "'";
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the model has no such {}; it has {}", kind, names));
}

Status take_byte_input(Graph& graph, const std::string& name, const ByteMap& map) {
  const std::string context = fmt::format("input type of '{}'", name);
  const auto input = find_named(graph, graph.inputs, "input", name);
  if (!input) return fail(input.error().with_context(context));
  if (auto status = take_bytes(graph, *input, map); !status)
    return fail(status.error().with_context(context));
  graph.metadata[std::string(kPrefix) + name] = to_text(map);
  return {};
}

}  // namespace intact
