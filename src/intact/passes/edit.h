// edit.h: changes to a graph with the table of uses kept true throughout.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace intact {

// While an Editor lives, the graph is changed through it alone. Nodes keep their indices: an erased
// node has an empty op, a new one is appended, and finish() puts them in order.
class Editor {
 public:
  explicit Editor(Graph& graph);

  [[nodiscard]] Graph& graph() noexcept { return graph_; }
  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  [[nodiscard]] const Node& node(std::int32_t n) const {
    return graph_.nodes[static_cast<std::size_t>(n)];
  }
  [[nodiscard]] std::int32_t num_nodes() const {
    return static_cast<std::int32_t>(graph_.nodes.size());
  }

  // The node that makes the value, or -1; with an op: -1 also when the node is another operator.
  [[nodiscard]] std::int32_t producer(ValueId value) const;
  [[nodiscard]] std::int32_t producer(ValueId value, std::string_view op,
                                      std::string_view domain = "") const;
  [[nodiscard]] const std::vector<std::int32_t>& readers(ValueId value) const {
    return uses_.readers[static_cast<std::size_t>(value)];
  }
  // True for graph outputs: they cannot disappear.
  [[nodiscard]] bool kept(ValueId value) const { return kept_[static_cast<std::size_t>(value)]; }
  // True when one input of one node is all that uses the value.
  [[nodiscard]] bool single_use(ValueId value) const {
    return !kept(value) && readers(value).size() == 1;
  }
  // True when every use of the value is by one of these nodes, so that it goes when they go.
  [[nodiscard]] bool used_only_by(ValueId value, std::initializer_list<std::int32_t> nodes) const;

  // Puts another node in the place of node n; an empty list of outputs means: those of n. Then
  // removes whatever computed only for n.
  void rewrite(std::int32_t n, Node replacement);
  void set_input(std::int32_t n, std::size_t i, ValueId value);
  void set_attribute(std::int32_t n, const std::string& key, Attribute value);
  void erase(std::int32_t n);
  std::int32_t add(Node node);
  ValueId add_value(std::string name, ValueType type = {});
  ValueId add_constant(std::string name, Tensor tensor);
  // A constant in the place of another that node n reads: the old one itself, changed, when nobody
  // else uses it, so that its name stays; a new one otherwise.
  ValueId changed_constant(std::int32_t n, ValueId old, Tensor tensor);
  // Makes a value constant, and removes the node that produced it when its other outputs are
  // unused.
  void set_constant(ValueId value, Tensor tensor);

  // Lets every reader of `from` read `to`, and removes what computed only `from`. The map of codes
  // that readers of `from` rely on goes along. Returns false and does nothing when a name would be
  // lost (`from` is a graph output and `to` is an input, an output or a constant), or when `to` has
  // another map.
  bool replace_uses(ValueId from, ValueId to);

  [[nodiscard]] bool changed() const noexcept { return changed_; }
  // Sorts the nodes if anything changed.
  Status finish();

 private:
  void link(std::int32_t n);
  void unlink(std::int32_t n);
  void prune(ValueId value);
  void grow();

  Graph& graph_;
  Uses uses_;
  std::vector<bool> kept_;
  std::vector<bool> is_input_;
  bool changed_ = false;
};

// True when the node holds a subgraph (If, Loop, Scan).
bool has_subgraph(const Node& node);

}  // namespace intact
