// quantize_channels: reals that will become codes channel by channel become codes where they are
// made.
//
//   y -> Split -> Q(map a), Q(map b)      ->  Q(y, a map a channel) -> Split
//
// A Q commutes with every movement, so it may rise above it; above a node with several readers it
// may only rise together with theirs. This pass asks for every channel of a channels-last value
// which Q will read it, through Concat, Split, Slice, shuffles, max pools, enlargements by nearest
// neighbours and factors a channel. Where that is one and the same Q for all who read a channel,
// the channel may be quantized at once, and bytes move instead of reals. What is quantized, and
// with which map, stays as it was; a map a channel is a QuantizeLinear with an axis, which the
// product before it does itself (fuse_chain).
//
// A Concat or an enlargement is worth codes of its own where its input is also read as reals.

#include <algorithm>
#include <array>

#include "passes/channel_moves.h"
#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"

namespace intact {
namespace {

// What becomes of one channel of a value.
struct Demand {
  enum class Kind : std::uint8_t { kNothing, kCode, kReal };
  Kind kind = Kind::kNothing;
  // kCode: Q(x gain).
  float gain = 1;
  float scale = 0;
  std::int32_t zero = 0;

  bool operator==(const Demand&) const = default;
  void join(const Demand& other) {
    if (kind == Kind::kNothing)
      *this = other;
    else if (other.kind != Kind::kNothing && *this != other)
      *this = {Kind::kReal};
  }
  [[nodiscard]] Demand through(float factor) const {
    if (kind != Kind::kCode) return *this;
    return gain == 1 ? Demand{kind, factor, scale, zero} : Demand{Kind::kReal};
  }
};
using Demands = std::vector<Demand>;

// True when every channel that is used becomes codes.
bool all_codes(const Demands& demands) {
  const auto is = [](Demand::Kind kind) {
    return [kind](const Demand& d) { return d.kind == kind; };
  };
  return std::none_of(demands.begin(), demands.end(), is(Demand::Kind::kReal)) &&
         std::any_of(demands.begin(), demands.end(), is(Demand::Kind::kCode));
}

// A node that codes may pass through.
struct Passage {
  enum class Kind : std::uint8_t { kChannels, kSame, kGain };
  Kind kind = Kind::kSame;
  ChannelMove move;         // kChannels
  std::vector<float> gain;  // kGain: one a channel.
  bool splits = false;      // Worth codes of its own: Concat and enlargements.
  bool open = true;
};

class ChannelQuantizer {
 public:
  explicit ChannelQuantizer(Graph& graph) : known_(graph), editor_(graph) {}

  Status run() {
    passages_.resize(static_cast<std::size_t>(editor_.num_nodes()));
    for (std::int32_t n = 0; n < editor_.num_nodes(); ++n) passages_[at(n)] = passage(n);
    do find_demands();
    while (close_passages());
    rewrite();
    return editor_.finish();
  }

 private:
  static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] const Graph& graph() { return editor_.graph(); }

  // Channels-last reals with a known number of channels: what this pass speaks of.
  [[nodiscard]] bool speaks_of(ValueId v) {
    return v != kNoValue && graph().value(v).type.layout == Layout::kChannelsLast &&
           graph().constant(v) == nullptr && known_[v].dtype == Dtype::kFloat32 &&
           channels_of(known_, v) > 0;
  }

  std::optional<Passage> passage(std::int32_t n) {
    const Node& node = editor_.node(n);
    if (node.op.empty() || !speaks_of(node.in(0)) ||
        !std::all_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId v) { return speaks_of(v); }))
      return std::nullopt;
    Passage p;
    if (auto move = channel_move(known_, node)) {
      p.kind = Passage::Kind::kChannels;
      p.move = std::move(*move);
      p.splits = node.is("Concat");
      return p;
    }
    if (node.outputs.size() != 1) return std::nullopt;
    if (node.is("MaxPool")) return p;
    if (node.is("Resize")) {
      p.splits = enlarges(node);
      return p.splits ? std::optional(p) : std::nullopt;
    }
    if (!node.is("Mul")) return std::nullopt;
    p.kind = Passage::Kind::kGain;
    p.gain = factors(node);
    return p.gain.empty() ? std::nullopt : std::optional(std::move(p));
  }

  // Nearest neighbours, and no fewer pixels than before.
  bool enlarges(const Node& node) {
    if (node.get_string("mode", "nearest") != "nearest") return false;
    const Tensor* scales = graph().constant(node.in(2));
    if (scales != nullptr && scales->size() > 0) {
      const auto values = to_float64(*scales);
      return std::all_of(values.begin(), values.end(), [](double s) { return s >= 1; });
    }
    const auto x = concrete(known_.shape(node.in(0)));
    const auto y = concrete(known_.shape(node.out(0)));
    return x && y && num_elements(*y) >= num_elements(*x);
  }

  // The positive constants, one a channel, that the node multiplies its first operand with.
  std::vector<float> factors(const Node& node) {
    const Tensor* g = graph().constant(node.in(1));
    const std::int64_t channels = channels_of(known_, node.in(0));
    if (g == nullptr || g->dtype() != Dtype::kFloat32) return {};
    const int rank = known_.rank(node.in(0));
    const auto g_rank = static_cast<int>(g->rank());
    const bool by_channel = g->size() == channels && g_rank + 1 >= rank && g_rank <= rank &&
                            g->shape()[at(1 - (rank - g_rank))] == channels;
    if (!by_channel && (g->size() != 1 || g_rank > rank)) return {};
    const auto values = g->values<float>();
    std::vector<float> gain(static_cast<std::size_t>(channels), values[0]);
    if (by_channel) gain.assign(values.begin(), values.end());
    return gain;
  }

  // From readers to what they read.
  void find_demands() {
    demands_.assign(graph().values.size(), {});
    for (std::size_t v = 0; v < demands_.size(); ++v)
      if (const auto id = static_cast<ValueId>(v); speaks_of(id))
        demands_[v].resize(static_cast<std::size_t>(channels_of(known_, id)));
    for (const ValueId v : graph().outputs) join_all(v, {Demand::Kind::kReal});
    for (std::int32_t n = static_cast<std::int32_t>(passages_.size()); n-- > 0;) {
      const Node& node = editor_.node(n);
      if (node.op.empty()) continue;
      const auto& p = passages_[at(n)];
      if (p && p->open) {
        pass_on(node, *p);
      } else if (const auto map = quantize_map(graph(), node)) {
        join_all(node.in(0), {Demand::Kind::kCode, 1, map->scale[0], map->zero_point[0]});
      } else {
        for (const ValueId v : node.inputs) join_all(v, {Demand::Kind::kReal});
      }
    }
  }

  void join_all(ValueId v, const Demand& demand) {
    if (v == kNoValue) return;
    for (Demand& d : demands_[at(v)]) d.join(demand);
  }

  // What the node's outputs are wanted for, as wanted of each of its inputs.
  std::vector<Demands> wanted_of_inputs(const Node& node, const Passage& p) {
    if (p.kind != Passage::Kind::kChannels) {
      Demands wanted = demands_[at(node.out(0))];
      if (p.kind == Passage::Kind::kGain)
        for (std::size_t c = 0; c < wanted.size(); ++c) wanted[c] = wanted[c].through(p.gain[c]);
      return {std::move(wanted)};
    }
    std::vector<Demands> wanted;
    for (const std::int64_t size : p.move.in_sizes)
      wanted.emplace_back(static_cast<std::size_t>(size));
    auto from = p.move.from.begin();
    for (const ValueId y : node.outputs)
      for (const Demand& d : demands_[at(y)]) {
        const auto source = p.move.source(*from++);
        wanted[source.input][static_cast<std::size_t>(source.channel)].join(d);
      }
    return wanted;
  }

  void pass_on(const Node& node, const Passage& p) {
    const auto wanted = wanted_of_inputs(node, p);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      Demands& demands = demands_[at(node.in(i))];
      for (std::size_t c = 0; c < demands.size(); ++c) demands[c].join(wanted[i][c]);
    }
  }

  [[nodiscard]] bool becomes_codes(ValueId v) { return all_codes(demands_[at(v)]); }

  static bool is_one_map(const Demands& demands) {
    const Demand* one = nullptr;
    for (const Demand& d : demands) {
      if (d.kind != Demand::Kind::kCode) continue;
      if (one != nullptr && (one->scale != d.scale || one->zero != d.zero)) return false;
      one = &d;
    }
    return one != nullptr;
  }

  // True when the node may make codes of input i on its own: the input is codes already, or the
  // node is worth it.
  bool may_quantize(const Node& node, const Passage& p, std::size_t i, const Demands& wanted) {
    if (!all_codes(wanted)) return false;
    if (dequantized_codes(editor_, node.in(i))) return is_one_map(wanted);
    return p.splits;
  }

  // Closes passages that codes cannot take. Returns whether there was one.
  bool close_passages() {
    bool closed = false;
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(passages_.size()); ++n) {
      auto& p = passages_[at(n)];
      if (!p || !p->open) continue;
      const Node& node = editor_.node(n);
      const auto wanted = wanted_of_inputs(node, *p);
      for (const ValueId y : node.outputs) {
        const bool unread = graph_unread(y);
        p->open = p->open && (becomes_codes(y) || unread);
      }
      for (std::size_t i = 0; p->open && i < wanted.size(); ++i)
        p->open = becomes_codes(node.in(i)) || may_quantize(node, *p, i, wanted[i]);
      closed = closed || !p->open;
    }
    return closed;
  }
  bool graph_unread(ValueId v) { return !editor_.kept(v) && editor_.readers(v).empty(); }

  // True when codes of the value are worth making: something moves them.
  [[nodiscard]] bool is_moved(ValueId v) {
    const auto& readers = editor_.readers(v);
    return std::any_of(readers.begin(), readers.end(), [&](std::int32_t n) {
      if (n >= static_cast<std::int32_t>(passages_.size())) return false;
      const auto& p = passages_[at(n)];
      if (!p || !p->open) return false;
      return p->kind != Passage::Kind::kGain || is_moved(editor_.node(n).out(0));
    });
  }

  void rewrite() {
    codes_.assign(graph().values.size(), kNoValue);
    const auto nodes = static_cast<std::int32_t>(passages_.size());
    for (std::int32_t n = 0; n < nodes; ++n) {
      if (editor_.node(n).op.empty()) continue;
      const auto& p = passages_[at(n)];
      if (p && p->open)
        move_codes(n, *p);
      else
        for (const ValueId v : std::vector<ValueId>(editor_.node(n).outputs))
          if (v != kNoValue && becomes_codes(v) && is_moved(v)) codes_[at(v)] = quantized(v);
    }
    // The Qs that have risen.
    for (std::size_t v = 0; v < codes_.size(); ++v) {
      if (codes_[v] == kNoValue) continue;
      const std::vector<std::int32_t> readers = editor_.readers(static_cast<ValueId>(v));
      for (const std::int32_t n : readers) {
        const Node& q = editor_.node(n);
        if (n < nodes && q.is("QuantizeLinear") && q.out(0) != codes_[v])
          editor_.replace_uses(q.out(0), codes_[v]);
      }
    }
  }

  // The same node on codes.
  void move_codes(std::int32_t n, const Passage& p) {
    const Node node = editor_.node(n);
    const auto wanted = wanted_of_inputs(node, p);
    if (p.kind == Passage::Kind::kGain) {
      codes_[at(node.out(0))] = codes_[at(node.in(0))];
      return;
    }
    Node moved = node;
    moved.name.clear();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const ValueId codes = codes_[at(node.in(i))];
      moved.inputs[i] = codes != kNoValue ? codes : quantized(node.in(i), wanted[i]);
    }
    for (ValueId& y : moved.outputs) {
      ValueType type = graph().value(y).type;
      type.dtype = Dtype::kUint8;
      const ValueId codes = editor_.add_value("", std::move(type));
      if (becomes_codes(y)) editor_.graph().value(codes).quant = map_of(demands_[at(y)]);
      codes_[at(y)] = codes;
      y = codes;
    }
    moved.name = node.name;
    editor_.add(std::move(moved));
  }

  // One map for the tensor where one does. Channels that nobody reads take any.
  static Quant map_of(const Demands& demands) {
    const auto first = std::find_if(demands.begin(), demands.end(),
                                    [](const Demand& d) { return d.kind == Demand::Kind::kCode; });
    if (is_one_map(demands)) return {{first->scale}, {first->zero}, -1};
    Quant map;
    map.axis = 1;
    for (const Demand& d : demands) {
      const Demand& use = d.kind == Demand::Kind::kCode ? d : *first;
      map.scale.push_back(use.scale);
      map.zero_point.push_back(use.zero);
    }
    return map;
  }

  ValueId quantized(ValueId v) { return quantized(v, Demands(demands_[at(v)])); }
  ValueId quantized(ValueId v, const Demands& demands) {
    const Quant map = map_of(demands);
    const bool scaled =
        std::any_of(demands.begin(), demands.end(), [](const Demand& d) { return d.gain != 1; });
    if (!scaled && map.axis < 0)
      for (const std::int32_t n : editor_.readers(v))
        if (const auto known = quantize_map(graph(), editor_.node(n));
            known && *known == map && annotate(editor_.graph(), editor_.node(n).out(0), map))
          return editor_.node(n).out(0);
    ValueId x = v;
    if (scaled) {
      std::vector<float> gain;
      for (const Demand& d : demands) gain.push_back(d.gain);
      Shape shape(static_cast<std::size_t>(known_.rank(v)), 1);
      shape[1] = static_cast<std::int64_t>(gain.size());
      Node mul;
      mul.op = "Mul";
      mul.inputs = {
          v, editor_.add_constant("", Tensor::of<float>(shape, std::span<const float>(gain)))};
      x = editor_.add_value("", graph().value(v).type);
      mul.outputs = {x};
      editor_.add(std::move(mul));
    }
    const auto n = static_cast<std::int64_t>(map.scale.size());
    const Shape shape = map.axis < 0 ? Shape{} : Shape{n};
    const std::vector<std::uint8_t> zeros(map.zero_point.begin(), map.zero_point.end());
    Node q;
    q.op = "QuantizeLinear";
    q.inputs = {
        x, editor_.add_constant("", Tensor::of<float>(shape, std::span<const float>(map.scale))),
        editor_.add_constant(
            "", Tensor::of<std::uint8_t>(shape, std::span<const std::uint8_t>(zeros)))};
    if (map.axis >= 0) q.attributes["axis"] = std::int64_t{map.axis};
    ValueType type = graph().value(v).type;
    type.dtype = Dtype::kUint8;
    const ValueId codes = editor_.add_value("", std::move(type));
    editor_.graph().value(codes).quant = map;
    q.outputs = {codes};
    editor_.add(std::move(q));
    return codes;
  }

  const ShapeAnalysis known_;
  Editor editor_;
  std::vector<std::optional<Passage>> passages_;  // By node.
  std::vector<Demands> demands_;                  // By value; empty where nothing is asked.
  std::vector<ValueId> codes_;                    // By value: its codes.
};

}  // namespace

Status quantize_channels(Graph& graph, PassContext&) { return ChannelQuantizer(graph).run(); }

}  // namespace intact
