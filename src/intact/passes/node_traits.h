// node_traits.h: what passes ask about operators, in one place.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace intact {

// True when two runs of the node may differ (RandomNormal, Dropout in training, ...).
bool is_random(const Node& node);

// True when a small input may give a very large output (ConstantOfShape, Expand, Tile, Range, ...).
bool is_expanding(const Node& node);

// The value of a constant with one element, as a double, or nothing. Of rank 0 or 1, so that it
// adds no axes to what it is combined with.
std::optional<double> scalar_of(const Graph& graph, ValueId id);
// True when `id` is such a constant, equal to x within one part in 10^5: what survives of a
// mathematical constant after an exporter rounded it to float or float16-like text.
bool is_scalar(const Graph& graph, ValueId id, double x);

// The elements of an integer constant, or nothing.
std::optional<std::vector<std::int64_t>> ints_of(const Graph& graph, ValueId id);

// The perm of a Transpose of that rank (absent: reversed), or nothing when it is no permutation.
std::optional<std::vector<std::int64_t>> perm_of(const Node& node, std::size_t rank);

// The list that an operator takes as an attribute in old opsets and as input i in new ones (axes of
// Squeeze, pads of Pad, ...). `given` is false when it is absent in both; nothing is returned when
// it is an input that is not constant.
struct IntList {
  bool given = false;
  std::vector<std::int64_t> values;
};
std::optional<IntList> ints_attribute_or_input(const Graph& graph, const Node& node,
                                               std::string_view attribute, std::size_t input);

}  // namespace intact
