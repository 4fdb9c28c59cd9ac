#include "ir/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "ir/intact_ops.h"
#include "ir/text.h"

namespace intact {
namespace {

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::kInvalidModel, std::move(message));
}

std::string who(const Node& node) {
  return node.name.empty() ? fmt::format("a node of type {}", printable(node.op))
                           : fmt::format("node '{}'", printable(node.name));
}

// The codes that a type can hold, or nothing for types that are never codes.
std::optional<std::pair<std::int64_t, std::int64_t>> code_range(Dtype dtype) {
  if (!is_integer(dtype) || bits_of(dtype) > 32) return std::nullopt;
  const std::int64_t span = std::int64_t{1} << bits_of(dtype);
  const bool is_signed = dtype == Dtype::kInt4 || dtype == Dtype::kInt8 || dtype == Dtype::kInt16 ||
                         dtype == Dtype::kInt32;
  return is_signed ? std::pair(-span / 2, span / 2 - 1) : std::pair(std::int64_t{0}, span - 1);
}

Status check_quant(const Value& v) {
  const Quant& q = *v.quant;
  const auto name = [&] { return printable(v.name); };
  const auto codes = code_range(v.type.dtype);
  if (!codes)
    return wrong(
        fmt::format("value '{}' has scales but its type is {}, not an integer of 32 bits "
                    "or less",
                    name(), name_of(v.type.dtype)));
  if (q.scale.empty() || q.scale.size() != q.zero_point.size())
    return wrong(fmt::format("value '{}' has {} scales and {} zero points", name(), q.scale.size(),
                             q.zero_point.size()));
  if (q.axis == -1 && q.scale.size() != 1)
    return wrong(fmt::format("value '{}' has {} scales and no axis", name(), q.scale.size()));
  if (q.axis < -1) return wrong(fmt::format("value '{}' has scales on axis {}", name(), q.axis));
  if (q.axis >= 0 && v.type.shape) {
    const auto axis = static_cast<std::size_t>(q.axis);
    if (axis >= v.type.shape->size())
      return wrong(fmt::format("value '{}' has scales on axis {} but rank {}", name(), q.axis,
                               v.type.shape->size()));
    const Dim& dim = (*v.type.shape)[axis];
    if (dim.known() && static_cast<std::size_t>(dim.size) != q.scale.size())
      return wrong(fmt::format("value '{}' has {} scales on axis {} of size {}", name(),
                               q.scale.size(), q.axis, dim.size));
  }
  for (const float s : q.scale)
    if (!std::isfinite(s) || s <= 0)
      return wrong(fmt::format("value '{}' has the scale {}", name(), s));
  for (const std::int32_t z : q.zero_point)
    if (z < codes->first || z > codes->second)
      return wrong(fmt::format("value '{}' has the zero point {}, not a code of {}", name(), z,
                               name_of(v.type.dtype)));
  return {};
}

Status check_value(const Value& v) {
  const auto name = [&] { return printable(v.name); };
  if (v.name.empty()) return wrong("a value has no name");
  if (v.type.shape) {
    if (v.type.shape->size() > kMaxRank)
      return wrong(fmt::format("value '{}' has rank {}; the limit is {}", name(),
                               v.type.shape->size(), kMaxRank));
    for (const Dim& dim : *v.type.shape)
      if (dim.size < -1 || (dim.known() && !dim.symbol.empty()))
        return wrong(fmt::format("value '{}' has a size of {} with the symbol '{}'", name(),
                                 dim.size, printable(dim.symbol)));
  }
  if (v.type.layout == Layout::kChannelsLast && (!v.type.shape || v.type.shape->size() < 3))
    return wrong(fmt::format("value '{}' is channels-last without a rank of 3 or more", name()));
  if (v.constant) {
    const Tensor& t = *v.constant;
    if (!t.defined()) return wrong(fmt::format("constant '{}' has no tensor", name()));
    if (v.type.layout != Layout::kPlain)
      return wrong(fmt::format("constant '{}' is not in plain layout", name()));
    const std::vector<Dim> shape(t.shape().begin(), t.shape().end());
    if (t.dtype() != v.type.dtype || !v.type.shape || *v.type.shape != shape)
      return wrong(fmt::format("constant '{}' holds {}{} but its value says otherwise", name(),
                               name_of(t.dtype()), to_string(t.shape())));
  }
  if (v.quant) return check_quant(v);
  return {};
}

// Nodes that compute with codes, and how many of their first inputs are codes: without a map of
// them (Value::quant) such a node means nothing.
struct IntegerNode {
  std::string_view op;
  std::size_t codes;
};
constexpr std::array kIntegerNodes{
    IntegerNode{"QConv", 2},
    IntegerNode{"QConvTranspose", 2},
    IntegerNode{"QLinear", 2},
    IntegerNode{"QMatMul", 2},
    IntegerNode{"QGather", 1},
    IntegerNode{"QAveragePool", 1},
    IntegerNode{"QGlobalAveragePool", 1},
};

class Verifier {
 public:
  explicit Verifier(const Graph& g) : g_(g), defined_(g.values.size(), false) {}

  Status run() {
    std::unordered_set<std::string_view> names;
    for (const Value& v : g_.values) {
      INTACT_TRY(check_value(v));
      if (!names.insert(v.name).second)
        return wrong(fmt::format("two values are named '{}'", printable(v.name)));
    }
    for (const ValueId id : g_.inputs) INTACT_TRY(define(id, "a graph input"));
    for (std::size_t v = 0; v < g_.values.size(); ++v)
      if (g_.values[v].constant) INTACT_TRY(define(static_cast<ValueId>(v), "a constant"));
    for (const Node& node : g_.nodes)
      if (!node.op.empty())
        if (Status ok = check_node(node); !ok) return fail(ok.error().with_context(who(node)));
    for (const ValueId id : g_.outputs) {
      INTACT_TRY(in_range(id));
      INTACT_TRY(use(id));
    }
    return {};
  }

 private:
  Status in_range(ValueId id) const {
    if (id >= 0 && static_cast<std::size_t>(id) < g_.values.size()) return {};
    return wrong(fmt::format("value id {} is outside [0, {})", id, g_.values.size()));
  }
  Status define(ValueId id, std::string_view as) {
    INTACT_TRY(in_range(id));
    if (defined_[static_cast<std::size_t>(id)])
      return wrong(
          fmt::format("value '{}' is defined again as {}", printable(g_.value(id).name), as));
    defined_[static_cast<std::size_t>(id)] = true;
    return {};
  }
  Status use(ValueId id) const {
    if (defined_[static_cast<std::size_t>(id)]) return {};
    return wrong(
        fmt::format("value '{}' is read before anything defines it", printable(g_.value(id).name)));
  }

  Status check_node(const Node& node) {
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      INTACT_TRY(in_range(id));
      INTACT_TRY(use(id));
    }
    INTACT_TRY(check_codes(node));
    if (node.num_captured < 0 || static_cast<std::size_t>(node.num_captured) > node.inputs.size())
      return wrong(
          fmt::format("{} captured values of {} inputs", node.num_captured, node.inputs.size()));
    const auto captured = static_cast<std::size_t>(node.num_captured);
    for (std::size_t i = node.inputs.size() - captured; i < node.inputs.size(); ++i)
      if (node.inputs[i] == kNoValue) return wrong("a captured value is omitted");
    bool has_body = false;
    for (const auto& [key, attribute] : node.attributes) {
      if (const auto* tensor = std::get_if<Tensor>(&attribute); tensor && !tensor->defined())
        return wrong(fmt::format("attribute '{}' has no tensor", printable(key)));
      const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (body == nullptr) continue;
      has_body = true;
      if (*body == nullptr)
        return wrong(fmt::format("attribute '{}' has no graph", printable(key)));
      if ((*body)->inputs.size() < captured)
        return wrong(fmt::format("body '{}' takes {} inputs, fewer than the {} captured",
                                 printable(key), (*body)->inputs.size(), captured));
      if (Status ok = verify(**body); !ok)
        return fail(ok.error().with_context(fmt::format("body '{}'", printable(key))));
    }
    if (!has_body && captured > 0) return wrong("captured values without a body");
    for (const ValueId id : node.outputs)
      if (id != kNoValue) INTACT_TRY(define(id, "an output of this node"));
    return {};
  }

  Status check_codes(const Node& node) const {
    if (node.domain != kIntactDomain) return {};
    const auto* row = std::find_if(kIntegerNodes.begin(), kIntegerNodes.end(),
                                   [&](const IntegerNode& n) { return n.op == node.op; });
    if (row == kIntegerNodes.end()) return {};
    for (std::size_t i = 0; i < row->codes; ++i) {
      // A convolution may quantize its image itself.
      if (i == 0 && node.has("x_scale")) continue;
      if (node.in(i) == kNoValue || !g_.value(node.in(i)).quant)
        return wrong(fmt::format("input {} of {} has no map of its codes", i, node.op));
    }
    return {};
  }

  const Graph& g_;
  std::vector<bool> defined_;
};

}  // namespace

Status verify(const Graph& graph) { return Verifier(graph).run(); }

}  // namespace intact
