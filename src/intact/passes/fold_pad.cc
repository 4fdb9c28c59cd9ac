// fold_pad: lets the sliding windows do the padding.
//
// Frameworks with asymmetric "same" padding export a Pad before each strided convolution or pool: a
// copy of the whole tensor. Zeros around the spatial axes are what the `pads` of Conv mean, so they
// are added there. For pools it is exact in these cases only:
//
//   AveragePool  pads that count as zeros: count_include_pad = 1, or no pads of its own so far
//                (which turns the attribute on)
//   MaxPool      Pad's value is the lowest there is; or it is zero and nothing is below zero
//
// and, for pools, when every window still sees an element and ceil_mode is off.
#include <algorithm>
#include <limits>

#include "passes/edit.h"
#include "passes/node_traits.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

struct SpatialPad {
  Ints pads;  // [begin..., end...] over the spatial axes; not negative.
  double value = 0;
};

std::optional<SpatialPad> spatial_pad(const Graph& graph, const Node& node, std::size_t rank) {
  if (node.get_string("mode", "constant") != "constant") return std::nullopt;
  const auto given = ints_attribute_or_input(graph, node, "pads", 1);
  if (!given || !given->given) return std::nullopt;
  Ints all(2 * rank, 0);
  if (node.in(3) != kNoValue) {
    const auto axes = ints_of(graph, node.in(3));
    if (!axes || given->values.size() != 2 * axes->size()) return std::nullopt;
    for (std::size_t i = 0; i < axes->size(); ++i) {
      const auto axis = normalize_axis((*axes)[i], rank);
      if (!axis) return std::nullopt;
      all[static_cast<std::size_t>(*axis)] = given->values[i];
      all[static_cast<std::size_t>(*axis) + rank] = given->values[i + axes->size()];
    }
  } else if (given->values.size() == 2 * rank) {
    all = given->values;
  } else {
    return std::nullopt;
  }
  constexpr std::int64_t kMaxPad = 1 << 20;
  if (std::any_of(all.begin(), all.end(), [](std::int64_t p) { return p < 0 || p > kMaxPad; }))
    return std::nullopt;
  if (all[0] != 0 || all[1] != 0 || all[rank] != 0 || all[rank + 1] != 0) return std::nullopt;

  SpatialPad out;
  for (std::size_t half = 0; half < 2; ++half)
    for (std::size_t i = 2; i < rank; ++i) out.pads.push_back(all[half * rank + i]);
  if (node.has("value")) {
    out.value = static_cast<double>(node.get_float("value", 0));
  } else if (node.in(2) != kNoValue) {
    const auto v = scalar_of(graph, node.in(2));
    if (!v) return std::nullopt;
    out.value = *v;
  }
  return out;
}

// True when no element of the value can be below zero.
bool is_not_negative(const Editor& editor, ValueId v) {
  const std::int32_t n = editor.producer(v);
  if (n < 0) return false;
  const Node& node = editor.node(n);
  if (node.is("Relu") || node.is("Sigmoid") || node.is("HardSigmoid") || node.is("Softmax"))
    return true;
  if (node.is("Clip")) {
    if (node.has("min")) return node.get_float("min", -1) >= 0;
    const auto min = scalar_of(editor.graph(), node.in(1));
    return min && *min >= 0;
  }
  return false;
}

// The window operator with the pads added, or nothing when that is not exact.
std::optional<Node> padded(const Editor& editor, const Node& node, const SpatialPad& pad,
                           ValueId x) {
  const std::size_t n = pad.pads.size() / 2;
  const std::string auto_pad = node.get_string("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID") return std::nullopt;
  Ints pads = auto_pad == "VALID" ? Ints{} : node.get_ints("pads");
  if (pads.empty()) pads.assign(2 * n, 0);
  if (pads.size() != 2 * n ||
      std::any_of(pads.begin(), pads.end(), [](auto p) { return p < 0 || p > (1 << 20); }))
    return std::nullopt;
  const bool had_none = std::all_of(pads.begin(), pads.end(), [](auto p) { return p == 0; });
  for (std::size_t i = 0; i < 2 * n; ++i) pads[i] += pad.pads[i];

  Node out = node;
  out.inputs[0] = x;
  out.attributes.erase("auto_pad");
  if (node.is("Conv")) {
    if (pad.value != 0) return std::nullopt;
  } else {
    const Ints kernel = node.get_ints("kernel_shape");
    if (kernel.size() != n || node.get_int("ceil_mode", 0) != 0) return std::nullopt;
    for (std::size_t i = 0; i < 2 * n; ++i)
      if (pads[i] >= kernel[i % n]) return std::nullopt;
    if (node.is("AveragePool")) {
      if (pad.value != 0) return std::nullopt;
      if (node.get_int("count_include_pad", 0) == 0) {
        if (!had_none) return std::nullopt;
        out.attributes["count_include_pad"] = std::int64_t{1};
      }
    } else {  // MaxPool. Its indices speak of the padded tensor.
      if (node.out(1) != kNoValue) return std::nullopt;
      const bool lowest = pad.value <= static_cast<double>(std::numeric_limits<float>::lowest());
      if (!lowest && !(pad.value == 0 && is_not_negative(editor, x))) return std::nullopt;
    }
  }
  out.attributes["pads"] = std::move(pads);
  return out;
}

}  // namespace

Status fold_pad(Graph& graph, PassContext&) {
  std::optional<ShapeAnalysis> known;
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    if (!editor.node(n).is("Pad")) continue;
    const Node pad_node = editor.node(n);
    const std::vector<std::int32_t> readers = editor.readers(pad_node.out(0));
    for (const std::int32_t r : readers) {
      const Node reader = editor.node(r);
      if (reader.in(0) != pad_node.out(0) ||
          !(reader.is("Conv") || reader.is("AveragePool") || reader.is("MaxPool")))
        continue;
      if (!known) known.emplace(graph);
      const int rank = known->rank(pad_node.in(0)) >= 0 ? known->rank(pad_node.in(0))
                       : reader.is("Conv")              ? known->rank(reader.in(1))
                                                        : -1;
      if (rank < 3) continue;
      const auto pad = spatial_pad(graph, pad_node, static_cast<std::size_t>(rank));
      if (!pad) continue;
      if (auto folded = padded(editor, reader, *pad, pad_node.in(0)))
        editor.rewrite(r, std::move(*folded));
    }
  }
  return editor.finish();
}

}  // namespace intact
