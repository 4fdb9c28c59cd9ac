#include "passes/channel_patterns.h"

#include <algorithm>

namespace intact {
namespace {

// The index of the only reader of a value, when it is that operator; otherwise -1.
std::int32_t sole_reader(const Graph& graph, const Uses& uses, ValueId v, std::string_view op) {
  if (v == kNoValue || !uses.single_use(v)) return -1;
  const std::int32_t n = uses.readers[static_cast<std::size_t>(v)][0];
  const Node& node = graph.nodes[static_cast<std::size_t>(n)];
  return node.is(op) && node.in(0) == v ? n : -1;
}

bool same_from(const Dims& a, std::size_t i, const Dims& b, std::size_t j) {
  return a.size() - i == b.size() - j &&
         std::equal(a.begin() + static_cast<std::ptrdiff_t>(i), a.end(),
                    b.begin() + static_cast<std::ptrdiff_t>(j),
                    [](const Dim& x, const Dim& y) { return same(x, y); });
}

// 0, 2, 1, 3, 4, ...
bool swaps_1_and_2(const std::vector<std::int64_t>& perm) {
  for (std::size_t i = 0; i < perm.size(); ++i) {
    const std::size_t expected = i == 1 ? 2 : i == 2 ? 1 : i;
    if (perm[i] != static_cast<std::int64_t>(expected)) return false;
  }
  return perm.size() >= 4;
}

}  // namespace

std::map<std::size_t, ChannelPattern> find_channel_patterns(const ShapeAnalysis& known) {
  const Graph& graph = known.graph();
  const Uses uses = graph.uses();
  std::map<std::size_t, ChannelPattern> found;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& first = graph.nodes[n];
    if (!first.is("Reshape")) continue;
    const auto& x = known.shape(first.in(0));
    const auto& split = known.shape(first.out(0));
    if (!x || !split || x->size() < 3 || !(*x)[1].known()) continue;
    const std::int32_t t = sole_reader(graph, uses, first.out(0), "Transpose");
    if (t < 0) continue;
    const Node& turn = graph.nodes[static_cast<std::size_t>(t)];
    const auto perm = turn.get_ints("perm");
    const std::int64_t channels = (*x)[1].size;

    if (split->size() == 2 && (perm.empty() || perm == std::vector<std::int64_t>{1, 0}) &&
        (*x)[0].known() && (*x)[0].size == 1 && same((*split)[0], (*x)[1])) {
      found[n] = {ChannelPattern::Kind::kRows, channels, 1, {n, static_cast<std::size_t>(t)}};
      continue;
    }
    if (split->size() != x->size() + 1 || perm.size() != split->size() || !swaps_1_and_2(perm) ||
        !same((*split)[0], (*x)[0]) || !(*split)[1].known() || !same_from(*split, 3, *x, 2))
      continue;
    const std::int32_t r = sole_reader(graph, uses, turn.out(0), "Reshape");
    if (r < 0) continue;
    const Node& last = graph.nodes[static_cast<std::size_t>(r)];
    if (!same(known.shape(last.out(0)), x)) continue;
    found[n] = {ChannelPattern::Kind::kShuffle,
                channels,
                (*split)[1].size,
                {n, static_cast<std::size_t>(t), static_cast<std::size_t>(r)}};
  }
  return found;
}

}  // namespace intact
