// assign_layout: gives spatial regions channels-last memory order, with as few conversions as it
// can.
//
// Our convolutions and pools read and write channels-last: the channels of one pixel are
// neighbours. ONNX speaks of [N, C, spatial...] in row-major order. Shapes and axes stay as ONNX
// says; a value's type says in which order its elements lie, and these nodes change the order
// (ir/intact_ops.h):
//
//   ToChannelsLast, ToPlain          copies, where an operator needs the other order
//   ViewPlain, ViewChannelsLast      Transpose between [N,C,H,W] and [N,H,W,C], where one side is
//                                    channels-last: the bytes already lie right, so nothing moves
//
// One sweep in execution order keeps for each value the order in which it was made and, once
// somebody needed it, its copy in the other; so no value is converted twice and none is converted
// back. Spatial operators make channels-last values; operators without preference take the order of
// what they read; everything else is plain. Then a conversion moves up across operators of one
// input to where the tensor is smaller (before Resize and Cast to more bytes, after Slice and
// QuantizeLinear). Values of unknown rank, graph inputs and outputs are plain.
#include <algorithm>
#include <map>

#include "passes/channel_patterns.h"
#include "passes/hoist_conversions.h"
#include "passes/layout_traits.h"
#include "passes/patterns.h"
#include "passes/registry.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

class LayoutAssigner {
 public:
  explicit LayoutAssigner(Graph& graph) : graph_(graph), known_(graph), old_(graph.nodes) {
    patterns_ = find_channel_patterns(known_);
    find_wishes();
    graph_.nodes.clear();
    grow();
  }

  Status run() {
    std::vector<bool> placed(old_.size(), false);
    for (std::size_t n = 0; n < old_.size(); ++n) {
      if (old_[n].op.empty() || placed[n]) continue;
      const auto pattern = patterns_.find(n);
      if (pattern == patterns_.end() || !is_last(old_[n].in(0))) {
        place(old_[n]);
        continue;
      }
      place_pattern(pattern->second);
      for (const std::size_t part : pattern->second.nodes) placed[part] = true;
    }
    for (ValueId& out : graph_.outputs)
      if (is_last(out)) out = plain_output(out);
    return graph_.sort();
  }

 private:
  [[nodiscard]] bool is_last(ValueId v) const {
    return graph_.value(v).type.layout == Layout::kChannelsLast;
  }
  [[nodiscard]] std::size_t rank(ValueId v) const {
    return static_cast<std::size_t>(std::max(0, known_.rank(origin_[static_cast<std::size_t>(v)])));
  }

  // Which values somebody will want channels-last, seen through the operators that follow.
  void find_wishes() {
    wished_.assign(graph_.values.size(), false);
    for (auto node = old_.rbegin(); node != old_.rend(); ++node) {
      if (node->op.empty() || node->in(0) == kNoValue) continue;
      const LayoutKind kind = layout_kind(known_, *node);
      const ValueId y = node->out(0);
      const bool follows = kind == LayoutKind::kFollow || keeps_batch_and_channels(known_, *node);
      if (kind == LayoutKind::kSpatial) wished_[static_cast<std::size_t>(node->in(0))] = true;
      if (follows && y != kNoValue && wished_[static_cast<std::size_t>(y)])
        for (const ValueId v : node->inputs)
          if (v != kNoValue) wished_[static_cast<std::size_t>(v)] = true;
    }
  }

  void grow() {
    const std::size_t before = origin_.size();
    other_.resize(graph_.values.size(), kNoValue);
    origin_.resize(graph_.values.size());
    for (std::size_t v = before; v < origin_.size(); ++v) origin_[v] = static_cast<ValueId>(v);
  }

  void set_last(ValueId v) {
    if (v != kNoValue) graph_.value(v).type.layout = Layout::kChannelsLast;
  }

  // A node of our domain that makes v in another order, or seen with other axes.
  ValueId derived(const char* op, ValueId v, const char* suffix, Layout layout, Ints perm = {}) {
    ValueType type = graph_.value(v).type;
    if (!perm.empty() && type.shape)
      for (std::size_t i = 0; i < perm.size(); ++i)
        (*type.shape)[i] = (*graph_.value(v).type.shape)[static_cast<std::size_t>(perm[i])];
    type.layout = layout;
    Node node = intact_node(graph_, op, {v});
    if (!perm.empty()) node.attributes["perm"] = std::move(perm);
    const std::string name = graph_.value(v).name + suffix;
    const ValueId out = graph_.add_node(std::move(node), name, std::move(type));
    grow();
    origin_[static_cast<std::size_t>(out)] = origin_[static_cast<std::size_t>(v)];
    return out;
  }

  ValueId in_layout(ValueId v, Layout layout) {
    if (v == kNoValue || graph_.value(v).type.layout == layout) return v;
    ValueId& cached = other_[static_cast<std::size_t>(v)];
    if (cached != kNoValue) return cached;
    const bool last = layout == Layout::kChannelsLast;
    const ValueId made =
        derived(last ? "ToChannelsLast" : "ToPlain", v, last ? ".cl" : ".plain", layout);
    other_[static_cast<std::size_t>(v)] = made;
    return made;
  }

  // The plain copy of an output, under the output's name.
  ValueId plain_output(ValueId v) {
    const ValueId plain = in_layout(v, Layout::kPlain);
    const std::string name = graph_.value(v).name;
    std::string last = name + ".cl";
    while (graph_.find_value(last)) last += "_";
    graph_.rename(v, last);
    graph_.rename(plain, name);
    return plain;
  }

  void place_plain(Node node) {
    for (ValueId& v : node.inputs) v = in_layout(v, Layout::kPlain);
    graph_.nodes.push_back(std::move(node));
  }

  void place_spatial(Node node) {
    node.inputs[0] = in_layout(node.inputs[0], Layout::kChannelsLast);
    for (std::size_t i = 1; i < node.inputs.size(); ++i)
      node.inputs[i] = in_layout(node.inputs[i], Layout::kPlain);
    set_last(node.out(0));
    graph_.nodes.push_back(std::move(node));
  }

  // True when an operand needs an order at all: constants are plain whatever the others are, and
  // one element has no order.
  [[nodiscard]] bool has_order(ValueId v) const {
    return v != kNoValue && graph_.constant(v) == nullptr && !is_single(v);
  }
  [[nodiscard]] bool is_single(ValueId v) const {
    const auto shape = concrete(known_.shape(origin_[static_cast<std::size_t>(v)]));
    return shape && num_elements(*shape) == 1;
  }

  // Channels-last when some operand is, and every operand that has an order can be.
  [[nodiscard]] bool follows_last(const Node& node) const {
    const std::size_t r = rank(node.out(0));
    bool any = false;
    for (const ValueId v : node.inputs) {
      if (!has_order(v)) continue;
      if (rank(v) != r) return false;
      any = any || is_last(v);
    }
    return any;
  }

  void place_following(Node node) {
    if (!follows_last(node)) return place_plain(std::move(node));
    for (ValueId& v : node.inputs)
      if (has_order(v))
        v = in_layout(v, Layout::kChannelsLast);
      else
        v = in_layout(v, Layout::kPlain);
    for (const ValueId v : node.outputs) set_last(v);
    graph_.nodes.push_back(std::move(node));
  }

  // Transpose: a view when one of its sides is channels-last; otherwise on the plain view, which
  // costs one copy and not two.
  void place_transpose(Node node) {
    const ValueId x = node.inputs[0];
    const std::size_t r = rank(x);
    const auto given = perm_of(node, r);
    if (r < 3 || !given) return place_plain(std::move(node));
    Ints perm = *given;
    if (is_last(x)) {
      const Ints to_last = to_last_perm(r);
      if (perm == to_last) {
        view("ViewPlain", std::move(node), to_last, Layout::kPlain);
        return;
      }
      const Ints back = from_last_perm(r);  // The axis of the view that holds axis i of x.
      for (std::int64_t& axis : perm) axis = back[static_cast<std::size_t>(axis)];
      node.inputs[0] = derived("ViewPlain", x, ".view", Layout::kPlain, to_last);
      node.attributes["perm"] = std::move(perm);
      graph_.nodes.push_back(std::move(node));
      return;
    }
    const ValueId y = node.out(0);
    if (perm == from_last_perm(r) && wished_[static_cast<std::size_t>(y)]) {
      view("ViewChannelsLast", std::move(node), perm, Layout::kChannelsLast);
      return;
    }
    graph_.nodes.push_back(std::move(node));
  }

  void view(const char* op, Node node, Ints perm, Layout layout) {
    Node out = intact_node(graph_, op, {node.inputs[0]});
    out.name = std::move(node.name);
    out.outputs = std::move(node.outputs);
    out.attributes["perm"] = std::move(perm);
    graph_.value(out.outputs[0]).type.layout = layout;
    graph_.nodes.push_back(std::move(out));
  }

  ValueId shape_constant(ValueId near, const Ints& sizes) {
    const ValueId v =
        graph_.add_constant(graph_.value(near).name + ".shape",
                            Tensor::of<std::int64_t>({static_cast<std::int64_t>(sizes.size())},
                                                     std::span<const std::int64_t>(sizes)));
    grow();
    return v;
  }

  // Chains that only look at the channels (channel_patterns.h).
  void place_pattern(const ChannelPattern& pattern) {
    const Node& first = old_[pattern.nodes.front()];
    const Node& last = old_[pattern.nodes.back()];
    const ValueId x = first.in(0);
    if (pattern.kind == ChannelPattern::Kind::kShuffle)
      return place_shuffle(x, pattern.channels, pattern.groups, last);
    const ValueId pixels = derived("ViewPlain", x, ".view", Layout::kPlain, to_last_perm(rank(x)));
    Node reshape;
    reshape.op = "Reshape";
    reshape.name = first.name;
    reshape.inputs = {pixels, shape_constant(x, {-1, pattern.channels})};
    reshape.outputs = last.outputs;
    graph_.nodes.push_back(std::move(reshape));
  }

  // In one pixel: a [groups, channels / groups] matrix is transposed.
  void place_shuffle(ValueId x, std::int64_t channels, std::int64_t groups, const Node& last) {
    Ints from;
    for (std::int64_t column = 0; column < channels / groups; ++column)
      for (std::int64_t group = 0; group < groups; ++group)
        from.push_back(group * (channels / groups) + column);
    Node move = intact_node(graph_, "Channels", {x});
    move.name = last.name;
    move.outputs = last.outputs;
    move.attributes["axis"] = std::int64_t{1};
    move.attributes["channels"] = std::move(from);
    move.attributes["sizes"] = Ints{channels};
    set_last(last.out(0));
    graph_.nodes.push_back(std::move(move));
  }

  void place(const Node& node) {
    if (node.is("Transpose") && node.in(0) != kNoValue) return place_transpose(node);
    if (keeps_batch_and_channels(known_, node) && is_last(node.in(0))) {
      set_last(node.out(0));
      graph_.nodes.push_back(node);
      return;
    }
    switch (layout_kind(known_, node)) {
      case LayoutKind::kSpatial:
        return place_spatial(node);
      case LayoutKind::kFollow:
        return place_following(node);
      case LayoutKind::kPlain:
        return place_plain(node);
      case LayoutKind::kNoData:
        graph_.nodes.push_back(node);
        return;
    }
  }

  Graph& graph_;
  const ShapeAnalysis known_;
  const std::vector<Node> old_;
  std::vector<ValueId> other_;   // The value in the other order, once made.
  std::vector<ValueId> origin_;  // The value of the old graph that a value is a copy of.
  std::vector<bool> wished_;
  std::map<std::size_t, ChannelPattern> patterns_;
};

}  // namespace

Status assign_layout(Graph& graph, PassContext& context) {
  for (const Node& node : graph.nodes)
    if (node.is("ToPlain", "intact") || node.is("ToChannelsLast", "intact")) return {};
  INTACT_TRY(infer_shapes(graph, context));  // A channels-last value says its rank.
  INTACT_TRY(LayoutAssigner(graph).run());
  return hoist_conversions(graph);
}

}  // namespace intact
