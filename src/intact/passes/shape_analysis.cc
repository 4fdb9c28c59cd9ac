#include "passes/shape_analysis.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/shape_rules.h"

namespace intact {
namespace {

constexpr std::int64_t kMaxContent = 64;  // Elements; no shape is longer than kMaxRank, pads twice.

Known of_constant(const Tensor& t) {
  Known k;
  k.dtype = t.dtype();
  k.shape.emplace(t.shape().begin(), t.shape().end());
  if (is_integer(t.dtype()) && t.rank() <= 1 && t.size() <= kMaxContent) {
    const auto elements = to_int64(t);
    Dims content(elements.size());
    // Negative elements are numbers too: a content is not a size.
    for (std::size_t i = 0; i < elements.size(); ++i) content[i].size = elements[i];
    k.content = std::move(content);
  }
  return k;
}

}  // namespace

bool is_made_up(const Dim& dim) {
  return !dim.symbol.empty() && (dim.symbol[0] == '?' || dim.symbol[0] == '~');
}

bool may_be_negative(const Dim& dim) {
  return dim.symbol.empty() ? dim.size < 0 : dim.symbol[0] == '~';
}

bool same(const Dim& a, const Dim& b) {
  if (a.symbol.empty() != b.symbol.empty()) return false;
  return a.symbol.empty() ? a.known() && a.size == b.size : a.symbol == b.symbol;
}

bool same(const std::optional<Dims>& a, const std::optional<Dims>& b) {
  return a && b && a->size() == b->size() &&
         std::equal(a->begin(), a->end(), b->begin(),
                    [](const Dim& x, const Dim& y) { return same(x, y); });
}

std::optional<Shape> concrete(const std::optional<Dims>& dims) {
  if (!dims) return std::nullopt;
  Shape shape;
  for (const Dim& d : *dims) {
    if (!d.known()) return std::nullopt;
    shape.push_back(d.size);
  }
  return shape;
}

namespace {
// intact.QConv and its like: shapes are those of the operator without the Q, results are codes when
// the value says so and reals otherwise.
bool is_integer_node(const Node& node) {
  return node.domain == "intact" && node.op.starts_with('Q');
}
}  // namespace

ShapeAnalysis::ShapeAnalysis(const Graph& graph) : graph_(graph), known_(graph.values.size()) {
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    const Value& value = graph.values[v];
    if (value.constant) known_[v] = of_constant(*value.constant);
  }
  for (const ValueId v : graph.inputs) {
    Known& k = known_[static_cast<std::size_t>(v)];
    const ValueType& type = graph.value(v).type;
    k.dtype = type.dtype;
    k.shape = type.shape;
    if (k.shape)
      for (Dim& d : *k.shape)
        if (!d.known() && d.symbol.empty()) d = fresh();
  }
  for (const Node& node : graph.nodes)
    if (!node.op.empty()) visit(node);
}

Dim ShapeAnalysis::fresh() { return Dim::symbolic(fmt::format("?{}", next_symbol_++)); }
Dim ShapeAnalysis::fresh_number() { return Dim::symbolic(fmt::format("~{}", next_symbol_++)); }

void ShapeAnalysis::visit(const Node& node) {
  if (known_.size() < graph_.values.size()) known_.resize(graph_.values.size());
  for (const ValueId v : node.inputs)  // What became constant since the sweep.
    if (const Tensor* t = graph_.constant(v)) known_[static_cast<std::size_t>(v)] = of_constant(*t);
  for (const ValueId v : node.outputs)
    if (v != kNoValue) known_[static_cast<std::size_t>(v)] = Known{};
  const ShapeRule rule = find_shape_rule(node);
  if (rule == nullptr) {
    // Nobody can tell but the model itself.
    for (const ValueId v : node.outputs) {
      if (v == kNoValue) continue;
      Known& k = known_[static_cast<std::size_t>(v)];
      const ValueType& type = graph_.value(v).type;
      k.dtype = type.dtype;
      k.shape = type.shape;
      if (k.shape)
        for (Dim& d : *k.shape)
          if (!d.known()) d = fresh();
    }
    return;
  }
  RuleContext context(*this, node);
  rule(context);
}

Dims RuleContext::fresh(std::size_t rank) {
  Dims dims(rank);
  for (Dim& d : dims) d = fresh();
  return dims;
}

void RuleContext::set(std::size_t i, Dtype dtype, std::optional<Dims> shape) {
  const ValueId v = node.out(i);
  if (v == kNoValue) return;
  Known& k = analysis_.known_[static_cast<std::size_t>(v)];
  if (is_integer_node(node)) dtype = graph().value(v).quant ? Dtype::kUint8 : Dtype::kFloat32;
  k.dtype = dtype;
  if (shape)
    for (Dim& d : *shape) {
      if (!d.known() && d.symbol.empty()) d = fresh();
    }
  k.shape = std::move(shape);
}

void RuleContext::set_content(std::size_t i, std::optional<Dims> content) {
  const ValueId v = node.out(i);
  if (v == kNoValue || (content && content->size() > static_cast<std::size_t>(kMaxContent))) return;
  analysis_.known_[static_cast<std::size_t>(v)].content = std::move(content);
}

std::optional<std::vector<std::int64_t>> RuleContext::list(std::string_view attribute,
                                                           std::size_t i, bool& given) const {
  given = true;
  if (node.has(attribute)) return node.get_ints(attribute);
  if (!has_in(i)) {
    given = false;
    return std::vector<std::int64_t>{};
  }
  const auto& content = in(i).content;
  if (!content) return std::nullopt;
  std::vector<std::int64_t> out;
  for (const Dim& d : *content) {
    if (!d.symbol.empty()) return std::nullopt;
    out.push_back(d.size);
  }
  return out;
}

ShapeRule find_shape_rule(const Node& node) {
  if (!node.domain.empty() && node.domain != "intact") return nullptr;
  std::string_view op = node.op;
  if (is_integer_node(node)) {
    op.remove_prefix(1);
  }
  if (const ShapeRule r = find_elementwise_rule(op)) return r;
  if (const ShapeRule r = find_shape_op_rule(op)) return r;
  if (const ShapeRule r = find_movement_rule(op)) return r;
  if (const ShapeRule r = find_spatial_rule(op)) return r;
  return find_reduction_rule(op);
}

std::optional<std::vector<std::int64_t>> normalized(const std::vector<std::int64_t>& axes,
                                                    std::size_t rank) {
  std::vector<std::int64_t> out;
  for (const std::int64_t axis : axes) {
    const auto a = normalize_axis(axis, rank);
    if (!a) return std::nullopt;
    out.push_back(*a);
  }
  return out;
}

std::optional<std::size_t> axis_of(const RuleContext& c, std::int64_t otherwise, std::size_t rank) {
  const auto a = normalize_axis(c.node.get_int("axis", otherwise), rank);
  if (!a) return std::nullopt;
  return static_cast<std::size_t>(*a);
}

Dim broadcast_dim(RuleContext& c, const Dim& a, const Dim& b) {
  if (same(a, b) || (b.known() && b.size == 1)) return a;
  if (a.known() && a.size == 1) return b;
  if (a.known()) return a;  // Legal only when the other is 1 or the same.
  if (b.known()) return b;
  return c.fresh();
}

std::optional<Dims> broadcast_dims(RuleContext& c, const std::optional<Dims>& a,
                                   const std::optional<Dims>& b) {
  if (!a || !b) return std::nullopt;
  const std::size_t rank = std::max(a->size(), b->size());
  Dims out(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const bool in_a = i + a->size() >= rank;
    const bool in_b = i + b->size() >= rank;
    if (in_a && in_b)
      out[i] = broadcast_dim(c, (*a)[i + a->size() - rank], (*b)[i + b->size() - rank]);
    else
      out[i] = in_a ? (*a)[i + a->size() - rank] : (*b)[i + b->size() - rank];
  }
  return out;
}

}  // namespace intact
