// shape_analysis.h: what can be known of types, shapes and small integer tensors before a run.
//
// One sweep in execution order. Each operator has a rule that gives the type of its outputs from
// the types of its inputs. Two things make it useful on what exporters write:
//
//   every unknown dimension gets a symbol of its own ("?7"), so that two dimensions with the same
//   text are the same number whatever the run;
//   integer tensors with few elements carry their *contents* as dimensions, so that
//   Shape -> Gather -> Concat -> Reshape ends in a shape again.
//
// Knowledge is optional: a value about which nothing is known has an undefined type and no shape.
// The analysis is a snapshot: edits of the graph make it stale.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace intact {

using Dims = std::vector<Dim>;

// What is known of one value.
struct Known {
  Dtype dtype = Dtype::kUndefined;
  std::optional<Dims> shape;
  std::optional<Dims> content;  // Elements of an integer tensor of rank 0 or 1.
};

class ShapeAnalysis {
 public:
  // Analyses the whole graph.
  explicit ShapeAnalysis(const Graph& graph);

  // Nothing is known of values that were added since.
  [[nodiscard]] const Known& operator[](ValueId v) const {
    const auto i = static_cast<std::size_t>(v);
    return v == kNoValue || i >= known_.size() ? nothing_ : known_[i];
  }
  [[nodiscard]] const std::optional<Dims>& shape(ValueId v) const { return (*this)[v].shape; }
  // The rank, or -1.
  [[nodiscard]] int rank(ValueId v) const {
    const auto& s = shape(v);
    return s ? static_cast<int>(s->size()) : -1;
  }

  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  // A size that nothing is known of, and the same for a number that may be negative.
  Dim fresh();
  Dim fresh_number();

  // Recomputes the outputs of one node (after it, or what feeds it, has changed).
  void visit(const Node& node);

 private:
  friend class RuleContext;
  const Graph& graph_;
  std::vector<Known> known_;
  Known nothing_;
  std::int64_t next_symbol_ = 0;
};

// True for the symbols that the analysis made up.
bool is_made_up(const Dim& dim);
// True for numbers made up in arithmetic: they may be negative, so they are no sizes.
bool may_be_negative(const Dim& dim);
// True when both are surely the same number.
bool same(const Dim& a, const Dim& b);
bool same(const std::optional<Dims>& a, const std::optional<Dims>& b);

// The concrete shape, when every dimension is known.
std::optional<Shape> concrete(const std::optional<Dims>& dims);

}  // namespace intact
