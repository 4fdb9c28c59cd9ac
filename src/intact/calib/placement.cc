#include "calib/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "calib/parts.h"

namespace intact {
namespace {

bool names_node(const std::string& pattern, const Node& node) {
  return matches_glob(pattern, node.name) || matches_glob(pattern, node.op);
}

// What the codes stand for of which that node makes reals, when they are computed bytes and it does
// so by constants. With a zero point a channel: the one that lets a product's sum grow the most.
std::optional<Affine> given_map(const Graph& graph, std::int32_t n) {
  if (n < 0) return std::nullopt;
  const Node& node = graph.nodes[static_cast<std::size_t>(n)];
  const Tensor* scale = graph.constant(node.in(1));
  const Tensor* zero = graph.constant(node.in(2));
  if (!node.is("DequantizeLinear") || graph.constant(node.in(0)) != nullptr || scale == nullptr ||
      zero == nullptr || zero->dtype() != Dtype::kUint8)
    return std::nullopt;
  const std::vector<std::int64_t> zeros = to_int64(*zero);
  const auto reach = [](std::int64_t z) { return std::max(z, 255 - z); };
  const auto farthest =
      std::max_element(zeros.begin(), zeros.end(),
                       [&](std::int64_t a, std::int64_t b) { return reach(a) < reach(b); });
  return Affine{scale->values<float>()[0], static_cast<std::int32_t>(*farthest), {0, 255}};
}

// True for a MatMul of two computed matrices of reals.
bool is_pair(const Graph& graph, const ShapeAnalysis& types, const Node& node) {
  return node.is("MatMul") && std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) {
           return graph.constant(v) == nullptr && types[v].dtype == Dtype::kFloat32 &&
                  types.rank(v) >= 2;
         });
}

// The value that holds the same elements before what only moves them.
ValueId source_of(const Graph& graph, const Uses& uses, ValueId v) {
  constexpr std::array<std::string_view, 5> kMoves{"Transpose", "Reshape", "Squeeze", "Unsqueeze",
                                                   "Identity"};
  for (;;) {
    const std::int32_t n = uses.producer[static_cast<std::size_t>(v)];
    if (n < 0) return v;
    const Node& node = graph.nodes[static_cast<std::size_t>(n)];
    if (!node.domain.empty() || std::find(kMoves.begin(), kMoves.end(), node.op) == kMoves.end())
      return v;
    v = node.in(0);
  }
}

bool is_share(const Graph& graph, const Uses& uses, ValueId v) {
  const std::int32_t made = uses.producer[static_cast<std::size_t>(v)];
  return made >= 0 && graph.nodes[static_cast<std::size_t>(made)].is("Softmax");
}

void add_pair(const Graph& graph, const Uses& uses, std::int32_t n, Placement& placement) {
  ActivationPair pair;
  pair.node = n;
  for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    PairOperand o;
    o.value = graph.nodes[static_cast<std::size_t>(n)].in(side);
    o.source = source_of(graph, uses, o.value);
    o.right = side == 1;
    o.share = !o.right && is_share(graph, uses, o.source);
    auto& all = placement.operands;
    const auto known = std::find_if(all.begin(), all.end(), [&](const PairOperand& other) {
      return other.value == o.value && other.right == o.right;
    });
    pair.operands[side] = static_cast<std::size_t>(known - all.begin());
    if (known == all.end()) all.push_back(o);
  }
  placement.pairs.push_back(pair);
}

}  // namespace

bool Placement::is_integer(std::int32_t node) const {
  return site_of.contains(node) || std::any_of(pairs.begin(), pairs.end(),
                                               [&](const auto& pair) { return pair.node == node; });
}

bool names_any(std::span<const std::string> patterns, const Node& node) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return names_node(p, node); });
}

bool matches_glob(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, resume = 0;  // Where to try again after a *.
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

namespace {

// Whether an element-wise sum of codes alone makes a tensor, perhaps behind an activation. A sum
// that a product's accumulators go into is formed in real units.
bool is_sum(const Graph& graph, const Uses& uses, const Placement& placement, ValueId value) {
  const std::int32_t made = uses.producer[static_cast<std::size_t>(value)];
  if (made < 0) return false;
  const Node& node = graph.nodes[static_cast<std::size_t>(made)];
  if (node.is("Add") || node.is("Sub") || node.is("Sum"))
    return std::none_of(node.inputs.begin(), node.inputs.end(), [&](ValueId x) {
      return x != kNoValue && !placement.tensor_of.contains(x) &&
             placement.site_of.contains(uses.producer[static_cast<std::size_t>(x)]);
    });
  return (commutes_with_gain(node) || node.is("Clip")) &&
         is_sum(graph, uses, placement, node.in(0));
}

// Appends the products that make v and can take gains of its axis 1; false: they cannot.
bool find_makers(const Graph& graph, const ShapeAnalysis& types, const Uses& uses,
                 const Placement& placement, ValueId v, std::vector<std::size_t>& makers) {
  const std::int32_t made = uses.producer[static_cast<std::size_t>(v)];
  if (made < 0) return false;
  const Node& node = graph.nodes[static_cast<std::size_t>(made)];
  const auto through = [&](ValueId x) {
    return uses.single_use(x) && !placement.tensor_of.contains(x) &&
           find_makers(graph, types, uses, placement, x, makers);
  };
  if (const auto site = placement.site_of.find(made); site != placement.site_of.end()) {
    const GemmKind kind = placement.sites[site->second].kind;
    makers.push_back(site->second);
    return kind == GemmKind::kConv || kind == GemmKind::kGemm;
  }
  if (commutes_with_gain(node)) return through(node.in(0));
  return !find_parts(graph, types, uses, v, 1).empty() &&
         std::all_of(node.inputs.begin(), node.inputs.end(), through);
}

}  // namespace

Result<Placement> place(const Graph& graph, const PlacementOptions& options) {
  Placement placement;
  GemmSites found = find_gemm_sites(graph);
  placement.reasons = std::move(found.reasons);
  for (const auto* patterns : {&options.keep_float, &options.require_int8})
    for (const std::string& pattern : *patterns)
      if (std::none_of(graph.nodes.begin(), graph.nodes.end(),
                       [&](const Node& n) { return names_node(pattern, n); }))
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("'{}' matches no node of the model", pattern));
  // False, with the reason noted, where the user wants float.
  const auto may_be_integer = [&](std::int32_t n) {
    const Node& node = graph.nodes[static_cast<std::size_t>(n)];
    const auto kept = std::find_if(options.keep_float.begin(), options.keep_float.end(),
                                   [&](const std::string& p) { return names_node(p, node); });
    if (kept == options.keep_float.end()) return true;
    placement.reasons[n] = fmt::format("asked for by --keep-float '{}'", *kept);
    return false;
  };
  for (const GemmSite& site : found.sites)
    if (may_be_integer(site.node)) placement.sites.push_back(site);
  const Uses uses = graph.uses();
  const ShapeAnalysis types(graph);
  for (std::size_t i = 0; i < graph.nodes.size() && !options.float_pairs; ++i) {
    const auto n = static_cast<std::int32_t>(i);
    if (!is_pair(graph, types, graph.nodes[i]) || !may_be_integer(n)) continue;
    placement.reasons.erase(n);
    add_pair(graph, uses, n, placement);
  }
  for (const std::size_t i : options.byte_outputs) {
    PairOperand o;
    o.value = graph.outputs[i];
    o.source = source_of(graph, uses, o.value);
    o.share = is_share(graph, uses, o.source);
    o.output = i;
    placement.operands.push_back(o);
  }
  for (const std::string& pattern : options.require_int8)
    for (const auto& [n, reason] : placement.reasons) {
      const Node& node = graph.nodes[static_cast<std::size_t>(n)];
      if (names_node(pattern, node))
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("node '{}' stays float although '{}' requires int8: {}", node.name,
                                pattern, reason));
    }

  for (std::size_t s = 0; s < placement.sites.size(); ++s) {
    const GemmSite& site = placement.sites[s];
    placement.site_of[site.node] = s;
    const auto [it, added] = placement.tensor_of.try_emplace(site.input, placement.tensors.size());
    if (added) placement.tensors.push_back({.value = site.input});
    placement.tensors[it->second].readers.push_back(s);
  }
  for (QuantTensor& t : placement.tensors) {
    const auto v = static_cast<std::size_t>(t.value);
    const std::int32_t made = uses.producer[v];
    t.given = given_map(graph, made);
    t.shared = made < 0 || graph.nodes[static_cast<std::size_t>(made)].op != "LayerNormalization";
    if (options.float_sums && made >= 0 && is_product(graph.nodes[static_cast<std::size_t>(made)]))
      t.shared = false;
    t.only_products = !uses.is_output[v];
    for (const std::int32_t reader : uses.readers[v]) {
      const auto site = placement.site_of.find(reader);
      if (site == placement.site_of.end() || placement.sites[site->second].input != t.value)
        t.only_products = false;
    }
    t.sum = is_sum(graph, uses, placement, t.value);
    const int rank = types.rank(t.value);
    if (rank <= 0) continue;
    const int axis =
        input_channel_axis(placement.sites[t.readers[0]], static_cast<std::size_t>(rank));
    t.parts = find_parts(graph, types, uses, t.value, axis);
    if (t.only_products && axis == 1 &&
        !find_makers(graph, types, uses, placement, t.value, t.makers))
      t.makers.clear();
  }
  // Execution order: by the node that makes the tensor; inputs first.
  std::stable_sort(placement.tensors.begin(), placement.tensors.end(),
                   [&](const QuantTensor& a, const QuantTensor& b) {
                     return uses.producer[static_cast<std::size_t>(a.value)] <
                            uses.producer[static_cast<std::size_t>(b.value)];
                   });
  for (std::size_t i = 0; i < placement.tensors.size(); ++i)
    placement.tensor_of[placement.tensors[i].value] = i;
  return placement;
}

}  // namespace intact
