#include "calib/parts.h"

#include <algorithm>
#include <numeric>

namespace intact {

bool commutes_with_gain(const Node& node) {
  return node.domain.empty() &&
         (node.op == "Relu" || node.op == "LeakyRelu" || node.op == "MaxPool" ||
          node.op == "AveragePool" || node.op == "GlobalAveragePool");
}

std::vector<std::size_t> find_parts(const Graph& graph, const ShapeAnalysis& types,
                                    const Uses& uses, ValueId value, int axis) {
  for (;;) {
    const std::int32_t n = uses.producer[static_cast<std::size_t>(value)];
    if (n < 0) return {};
    const Node& node = graph.nodes[static_cast<std::size_t>(n)];
    if (commutes_with_gain(node)) {
      value = node.in(0);
      continue;
    }
    const int rank = types.rank(value);
    if (!node.is("Concat") || rank < 0) return {};
    const auto along = node.get_int("axis", 0);
    if ((along < 0 ? along + rank : along) != axis) return {};
    std::vector<std::size_t> parts;
    for (const ValueId part : node.inputs) {
      const auto& shape = types.shape(part);
      if (!shape || shape->size() != static_cast<std::size_t>(rank)) return {};
      const Dim& size = (*shape)[static_cast<std::size_t>(axis)];
      if (!size.known()) return {};
      parts.push_back(static_cast<std::size_t>(size.size));
    }
    return parts;
  }
}

std::vector<float> part_gains(std::span<const std::size_t> parts, std::span<const float> min,
                              std::span<const float> max) {
  if (parts.size() < 2 || min.size() != std::accumulate(parts.begin(), parts.end(), std::size_t{0}))
    return {};
  std::vector<double> width;
  std::size_t at = 0;
  for (const std::size_t channels : parts) {
    float lo = 0, hi = 0;
    for (std::size_t c = at; c < at + channels; ++c) {
      lo = std::min(lo, min[c]);
      hi = std::max(hi, max[c]);
    }
    at += channels;
    width.push_back(static_cast<double>(hi) - static_cast<double>(lo));
  }
  const double widest = *std::max_element(width.begin(), width.end());
  double narrowest = widest;
  for (const double w : width)
    if (w > 0) narrowest = std::min(narrowest, w);
  if (!(widest > kMostRatio * narrowest)) return {};
  std::vector<float> gain;
  for (std::size_t i = 0; i < parts.size(); ++i)
    gain.insert(gain.end(), parts[i], width[i] > 0 ? static_cast<float>(widest / width[i]) : 1.0f);
  return gain;
}

}  // namespace intact
