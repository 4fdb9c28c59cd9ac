// codes.h: what the passes that lower a quantized file ask about Q and DQ nodes.
#pragma once

#include <optional>
#include <vector>

#include "passes/edit.h"

namespace intact {

// A value that is DequantizeLinear of codes, with one constant map for the whole tensor or one for
// each index of an axis.
struct Dequantized {
  std::int32_t node = -1;  // The DequantizeLinear.
  ValueId codes = kNoValue;
  Dtype dtype = Dtype::kUndefined;  // Of the codes.
  Quant map;
  [[nodiscard]] bool per_tensor() const { return map.scale.size() == 1; }
};

// The map of a QuantizeLinear or DequantizeLinear node. Nothing when scale or zero point are not
// constant, a scale is not a positive number, the scale has blocks or does not fit the axis, or the
// types are not float32 and an 8-bit or 32-bit integer.
std::optional<Quant> map_of(const Graph& graph, const Node& node, Dtype* dtype);

std::optional<Dequantized> dequantized(const Editor& editor, ValueId value);
// The same for computed uint8 codes with one map: what integer kernels read.
std::optional<Dequantized> dequantized_codes(const Editor& editor, ValueId value);
// The same for codes of an image with one scale and a zero point a channel (axis 1): what
// convolutions that copy their rows read.
std::optional<Dequantized> dequantized_image(const Editor& editor, ValueId value);

// True for a convolution with these weights (null: computed) of few channels, whose kernel copies
// rows of its image before it multiplies (runtime/ops/image_rows.h).
bool copies_rows(const Node& conv, const Tensor* w);

// A QuantizeLinear to uint8 with one constant map: its map. Nothing when readers of its codes have
// been told another: such a Q stays a node of its own.
std::optional<Quant> quantize_map(const Graph& graph, const Node& node);

// Writes the map on the value, where all who read its codes agree. Returns false when the value has
// another map already: then no integer node may be made of it.
[[nodiscard]] bool annotate(Graph& graph, ValueId codes, const Quant& map);

}  // namespace intact
