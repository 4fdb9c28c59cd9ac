// shape_rules.h: the rules behind shape_analysis.h, one function an operator family.
#pragma once

#include "passes/shape_analysis.h"

namespace intact {

// What a rule sees of its node, and where it writes. Anything a rule leaves unset stays unknown.
class RuleContext {
 public:
  RuleContext(ShapeAnalysis& analysis, const Node& node_to_visit)
      : node(node_to_visit), analysis_(analysis) {}

  const Node& node;

  [[nodiscard]] const Graph& graph() const { return analysis_.graph(); }
  [[nodiscard]] const Known& in(std::size_t i) const { return analysis_[node.in(i)]; }
  [[nodiscard]] bool has_in(std::size_t i) const { return node.in(i) != kNoValue; }
  Dim fresh() { return analysis_.fresh(); }
  Dim fresh_number() { return analysis_.fresh_number(); }
  Dims fresh(std::size_t rank);

  void set(std::size_t i, Dtype dtype, std::optional<Dims> shape = std::nullopt);
  void set_content(std::size_t i, std::optional<Dims> content);

  // The list of an attribute, or of constant-content input i; nothing when it is unknown. An absent
  // list is empty and clears `given`.
  std::optional<std::vector<std::int64_t>> list(std::string_view attribute, std::size_t i,
                                                bool& given) const;

 private:
  ShapeAnalysis& analysis_;
};

using ShapeRule = void (*)(RuleContext&);

// Returns the rule of an operator, or null.
ShapeRule find_shape_rule(const Node& node);
ShapeRule find_elementwise_rule(std::string_view op);  // infer_elementwise.cc
ShapeRule find_shape_op_rule(std::string_view op);     // infer_shape_ops.cc
ShapeRule find_movement_rule(std::string_view op);     // infer_movement.cc
ShapeRule find_spatial_rule(std::string_view op);      // infer_spatial.cc
ShapeRule find_reduction_rule(std::string_view op);    // infer_reductions.cc: and products

// True for a number, false for a symbol: in contents, where numbers may be negative.
inline bool is_number(const Dim& d) { return d.symbol.empty(); }
// Maps axes into [0, rank), or nothing when one is outside.
std::optional<std::vector<std::int64_t>> normalized(const std::vector<std::int64_t>& axes,
                                                    std::size_t rank);
// The attribute `axis`, mapped likewise.
std::optional<std::size_t> axis_of(const RuleContext& c, std::int64_t otherwise, std::size_t rank);

// The dimension of NumPy broadcasting.
Dim broadcast_dim(RuleContext& c, const Dim& a, const Dim& b);
std::optional<Dims> broadcast_dims(RuleContext& c, const std::optional<Dims>& a,
                                   const std::optional<Dims>& b);

// A table row of find_*_rule.
struct NamedRule {
  std::string_view op;
  ShapeRule rule;
};
template <std::size_t N>
ShapeRule find_in(const NamedRule (&rules)[N], std::string_view op) {
  for (const NamedRule& r : rules)
    if (r.op == op) return r.rule;
  return nullptr;
}

}  // namespace intact
