#include "passes/channel_moves.h"

#include <algorithm>
#include <numeric>

#include "passes/node_traits.h"
#include "passes/patterns.h"

namespace intact {
namespace {

// The innermost axis of a value in memory, or -1.
std::int64_t innermost(const ShapeAnalysis& known, ValueId v) {
  const int rank = known.rank(v);
  if (rank < 1) return -1;
  return known.graph().value(v).type.layout == Layout::kChannelsLast && rank >= 3 ? 1 : rank - 1;
}

bool is_axis(std::int64_t axis, std::int64_t wanted, int rank) {
  return axis == wanted || axis + rank == wanted;
}

bool move_slice(const Graph& graph, const Node& node, int rank, ChannelMove& move) {
  const auto starts = ints_attribute_or_input(graph, node, "starts", 1);
  const auto ends = ints_attribute_or_input(graph, node, "ends", 2);
  auto axes = ints_attribute_or_input(graph, node, "axes", 3);
  auto steps = ints_attribute_or_input(graph, node, "steps", 4);
  if (!starts || !ends || !axes || !steps || starts->values.size() != 1 || ends->values.size() != 1)
    return false;
  if (!axes->given) axes->values = {0};
  if (!steps->given) steps->values = {1};
  if (axes->values.size() != 1 || steps->values.size() != 1 || steps->values[0] < 1 ||
      !is_axis(axes->values[0], move.axis, rank))
    return false;
  const std::int64_t n = move.in_sizes[0];
  const auto clip = [n](std::int64_t at) {
    return std::clamp<std::int64_t>(at < -n ? 0 : at < 0 ? at + n : at, 0, n);
  };
  for (std::int64_t c = clip(starts->values[0]); c < clip(ends->values[0]); c += steps->values[0])
    move.from.push_back(c);
  return true;
}

}  // namespace

ChannelMove::Source ChannelMove::source(std::int64_t of_all) const {
  std::size_t input = 0;
  for (; of_all >= in_sizes[input]; ++input) of_all -= in_sizes[input];
  return {input, of_all};
}

std::int64_t channels_of(const ShapeAnalysis& known, ValueId v) {
  const std::int64_t axis = innermost(known, v);
  if (axis < 0) return -1;
  const Dim& d = (*known.shape(v))[static_cast<std::size_t>(axis)];
  return d.known() ? d.size : -1;
}

std::optional<ChannelMove> channel_move(const ShapeAnalysis& known, const Node& node) {
  const Graph& graph = known.graph();
  const bool ours = node.is("Channels", "intact");
  const bool concat = node.is("Concat");
  if ((!ours && !concat && !node.is("Split") && !node.is("Slice")) || node.inputs.empty())
    return std::nullopt;
  const ValueId x = node.in(0);
  const int rank = known.rank(x);
  ChannelMove move;
  move.axis = innermost(known, x);
  if (move.axis < 0) return std::nullopt;
  const std::int64_t otherwise = concat || ours ? 1 : 0;
  if (!node.is("Slice") && !is_axis(node.get_int("axis", otherwise), move.axis, rank))
    return std::nullopt;
  for (std::size_t i = 0; i < (concat || ours ? node.inputs.size() : 1); ++i) {
    const ValueId v = node.in(i);
    if (v == kNoValue || graph.constant(v) != nullptr || known.rank(v) != rank ||
        graph.value(v).type.layout != graph.value(x).type.layout)
      return std::nullopt;
    move.in_sizes.push_back(channels_of(known, v));
    if (move.in_sizes.back() < 1) return std::nullopt;
  }
  for (const ValueId v : node.outputs) {
    move.out_sizes.push_back(v == kNoValue ? -1 : channels_of(known, v));
    if (move.out_sizes.back() < 1) return std::nullopt;
  }
  const std::int64_t out =
      std::accumulate(move.out_sizes.begin(), move.out_sizes.end(), std::int64_t{0});
  if (ours) {
    move.from = node.get_ints("channels");
  } else if (node.is("Slice")) {
    if (!move_slice(graph, node, rank, move)) return std::nullopt;
  } else {
    move.from.resize(static_cast<std::size_t>(out));
    std::iota(move.from.begin(), move.from.end(), std::int64_t{0});
  }
  const std::int64_t in =
      std::accumulate(move.in_sizes.begin(), move.in_sizes.end(), std::int64_t{0});
  if (static_cast<std::int64_t>(move.from.size()) != out || (!ours && out > in))
    return std::nullopt;
  return move;
}

Node channels_node(Graph& graph, const ChannelMove& move, std::vector<ValueId> inputs,
                   std::vector<ValueId> outputs) {
  Node node = intact_node(graph, "Channels", std::move(inputs));
  node.outputs = std::move(outputs);
  node.attributes["axis"] = move.axis;
  node.attributes["channels"] = move.from;
  node.attributes["sizes"] = move.out_sizes;
  return node;
}

}  // namespace intact
