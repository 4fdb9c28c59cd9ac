// channel_moves.h: nodes that only move channels, in one notation.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "passes/shape_analysis.h"

namespace intact {

// Channel j of a node's outputs, one output behind another, is channel from[j] of its first
// in_sizes.size() inputs, one behind another.
struct ChannelMove {
  std::vector<std::int64_t> in_sizes;
  std::vector<std::int64_t> out_sizes;
  std::vector<std::int64_t> from;
  std::int64_t axis = 1;

  // The input, and the channel of it, that a channel of all inputs is.
  struct Source {
    std::size_t input;
    std::int64_t channel;
  };
  [[nodiscard]] Source source(std::int64_t of_all) const;
};

// What a Concat, Split, Slice or intact.Channels does along the axis that is innermost in memory.
// Nothing for other nodes, for other axes, and where a number of channels is not known.
std::optional<ChannelMove> channel_move(const ShapeAnalysis& known, const Node& node);

// The node intact.Channels that does it.
Node channels_node(Graph& graph, const ChannelMove& move, std::vector<ValueId> inputs,
                   std::vector<ValueId> outputs);

// The number of channels of a value: its size along the axis that is innermost in memory, or -1.
std::int64_t channels_of(const ShapeAnalysis& known, ValueId v);

}  // namespace intact
