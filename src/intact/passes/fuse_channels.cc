// fuse_channels: movements of channels of codes, and the requantizations between them, are one
// pass.
//
//   Concat, Split, Slice along the channels, shuffles    -> intact.Channels
//   intact.Chain(q) that requantizes, beside one         -> intact.Channels
//   Channels(..., Channels(x...), ...)                   -> Channels(..., x..., ...)
//
// A Channels node reads what another would have moved for it, where that spares the other the
// moving: what it made for its readers alone is made no more. So Concat -> shuffle -> Split is one
// node, a Concat reads the tensor that was split, and requantizing costs a table on the way. A
// channel is requantized at most once in a node: two roundings stay two nodes. Codes of plain
// tensors move likewise along their last axis.

#include <algorithm>
#include <map>

#include "passes/channel_moves.h"
#include "passes/edit.h"
#include "passes/registry.h"

namespace intact {
namespace {

// The map of one channel's codes; nothing where the value has none.
std::optional<std::pair<float, std::int32_t>> map_of_channel(const Graph& graph, ValueId v,
                                                             std::int64_t channel) {
  const auto& quant = graph.value(v).quant;
  if (!quant) return std::nullopt;
  const auto at = static_cast<std::size_t>(quant->scale.size() == 1 ? 0 : channel);
  return std::pair(quant->scale[at], quant->zero_point[at]);
}

// A node in the form of this pass.
struct Move {
  ChannelMove channels;
  std::vector<ValueId> in, out;
};

class ChannelFuser {
 public:
  explicit ChannelFuser(Graph& graph) : known_(graph), editor_(graph) {}

  Status run() {
    find_moves();
    find_requantizations();
    for (const auto& [n, move] : moves_)
      if (!editor_.node(n).is("Channels", "intact")) store(n, move);
    for (bool again = true; again;) {
      again = false;
      for (std::int32_t n = 0; n < editor_.num_nodes(); ++n) again |= moves_.contains(n) && melt(n);
    }
    return editor_.finish();
  }

 private:
  [[nodiscard]] const Graph& graph() { return editor_.graph(); }

  // Every movement of bytes whose codes have one map before and after, or none that is known.
  void find_moves() {
    for (std::int32_t n = 0; n < editor_.num_nodes(); ++n) {
      const Node& node = editor_.node(n);
      if (node.op.empty() || known_[node.in(0)].dtype != Dtype::kUint8) continue;
      auto channels = channel_move(known_, node);
      if (!channels) continue;
      Move move{std::move(*channels), {}, node.outputs};
      move.in.assign(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(
                                                                    move.channels.in_sizes.size()));
      moves_.emplace(n, std::move(move));
    }
    // Maps spread over the values that one node moves, and so from node to node.
    for (bool again = true; again;) {
      again = false;
      for (auto it = moves_.begin(); it != moves_.end();) {
        const Spread spread = spread_map(it->second);
        again |= spread == Spread::kMore;
        it = spread == Spread::kConflict ? moves_.erase(it) : std::next(it);
      }
    }
  }

  enum class Spread : std::uint8_t { kDone, kMore, kConflict };
  Spread spread_map(const Move& move) {
    std::vector<ValueId> all = move.in;
    all.insert(all.end(), move.out.begin(), move.out.end());
    const Quant* map = nullptr;
    bool every = true, one = true;
    for (const ValueId v : all) {
      const auto& quant = graph().value(v).quant;
      every = every && quant;
      if (!quant) continue;
      one = one && quant->scale.size() == 1 && (map == nullptr || *map == *quant);
      map = &*quant;
    }
    if (map == nullptr) return Spread::kDone;
    if (every) return agrees(move) ? Spread::kDone : Spread::kConflict;
    if (!one) return Spread::kConflict;
    const Quant spread = *map;
    for (const ValueId v : all) editor_.graph().value(v).quant = spread;
    return Spread::kMore;
  }
  // Channel by channel, where maps are by channel.
  bool agrees(const Move& move) {
    bool same = true;
    for_each(move, [&](std::size_t, std::int64_t j, ValueId y, ValueId x, std::int64_t channel) {
      same = same && map_of_channel(graph(), x, channel) == map_of_channel(graph(), y, j);
    });
    return same;
  }

  // Calls visit(k, j, y, x, channel): channel j of output k, which is y, is that channel of x.
  template <class Visit>
  static void for_each(const Move& move, const Visit& visit) {
    auto from = move.channels.from.begin();
    for (std::size_t k = 0; k < move.out.size(); ++k)
      for (std::int64_t j = 0; j < move.channels.out_sizes[k]; ++j, ++from) {
        const auto source = move.channels.source(*from);
        visit(k, j, move.out[k], move.in[source.input], source.channel);
      }
  }

  // Chains that only requantize, where they meet a movement of channels.
  void find_requantizations() {
    const auto moves = [&](std::int32_t n) { return moves_.contains(n); };
    std::map<std::int32_t, Move> found;
    for (std::int32_t n = 0; n < editor_.num_nodes(); ++n) {
      const Node& node = editor_.node(n);
      if (!node.is("Chain", "intact") || node.has("chain") || node.inputs.size() != 1) continue;
      const ValueId x = node.in(0), y = node.out(0);
      const std::int64_t size = channels_of(known_, x);
      if (size < 1 || !graph().value(x).quant || !graph().value(y).quant ||
          graph().value(x).type.layout != graph().value(y).type.layout)
        continue;
      const auto& readers = editor_.readers(y);
      if (!moves(editor_.producer(x)) && std::none_of(readers.begin(), readers.end(), moves))
        continue;
      Move move{{{size}, {size}, {}, 1}, {x}, {y}};
      const auto rank = known_.rank(x);
      if (graph().value(x).type.layout == Layout::kPlain) move.channels.axis = rank - 1;
      for (std::int64_t c = 0; c < size; ++c) move.channels.from.push_back(c);
      found.emplace(n, std::move(move));
    }
    moves_.merge(found);
  }

  void store(std::int32_t n, const Move& move) {
    Node node = channels_node(editor_.graph(), move.channels, move.in, move.out);
    node.name = editor_.node(n).name;
    editor_.rewrite(n, std::move(node));
  }

  // Lets the readers of what node n makes read what n reads, where n need not make it then.
  bool melt(std::int32_t n) {
    if (editor_.node(n).op.empty()) return moves_.erase(n), false;
    const Move move = moves_.at(n);
    std::vector<bool> spared(move.out.size());
    for (std::size_t k = 0; k < move.out.size(); ++k) spared[k] = can_spare(move, k);
    const bool all = std::all_of(spared.begin(), spared.end(), [](bool s) { return s; });
    Move rest{move.channels, move.in, {}};
    rest.channels.out_sizes.clear();
    rest.channels.from.clear();
    auto from = move.channels.from.begin();
    for (std::size_t k = 0; k < move.out.size(); ++k) {
      const auto size = static_cast<std::ptrdiff_t>(move.channels.out_sizes[k]);
      // Half of a mixture is as much work for its reader as for this node.
      if (spared[k] && (all || inputs_of(move, k) == 1)) {
        const std::vector<std::int32_t> readers = editor_.readers(move.out[k]);
        for (const std::int32_t reader : readers) read_through(reader, move, k);
      } else {
        rest.out.push_back(move.out[k]);
        rest.channels.out_sizes.push_back(size);
        rest.channels.from.insert(rest.channels.from.end(), from, from + size);
      }
      from += size;
    }
    if (rest.out.size() == move.out.size()) return false;
    if (rest.out.empty()) {
      moves_.erase(n);
      return true;
    }
    drop_unread_inputs(rest);
    store(n, rest);
    moves_.insert_or_assign(n, std::move(rest));
    return true;
  }

  // True when all who read output k are movements that can read its sources in its place.
  bool can_spare(const Move& move, std::size_t k) {
    const ValueId y = move.out[k];
    if (editor_.kept(y) || editor_.readers(y).empty()) return false;
    std::vector<bool> rounded(static_cast<std::size_t>(move.channels.out_sizes[k]));
    for_each(move, [&](std::size_t output, std::int64_t j, ValueId, ValueId x, std::int64_t c) {
      if (output == k)
        rounded[static_cast<std::size_t>(j)] =
            map_of_channel(graph(), x, c) != map_of_channel(graph(), y, j);
    });
    for (const std::int32_t reader : editor_.readers(y)) {
      const auto it = moves_.find(reader);
      if (it == moves_.end()) return false;
      bool once = true;
      for_each(it->second, [&](std::size_t, std::int64_t j, ValueId z, ValueId x, std::int64_t c) {
        if (x == y && rounded[static_cast<std::size_t>(c)])
          once = once && map_of_channel(graph(), y, c) == map_of_channel(graph(), z, j);
      });
      if (!once) return false;
    }
    return true;
  }

  static std::size_t inputs_of(const Move& move, std::size_t k) {
    std::vector<ValueId> inputs;
    for_each(move, [&](std::size_t output, std::int64_t, ValueId, ValueId x, std::int64_t) {
      if (output == k && std::find(inputs.begin(), inputs.end(), x) == inputs.end())
        inputs.push_back(x);
    });
    return inputs.size();
  }

  void read_through(std::int32_t reader, const Move& move, std::size_t k) {
    Move& old = moves_.at(reader);
    Move now{{{}, old.channels.out_sizes, {}, old.channels.axis}, {}, old.out};
    // Where the channels of each input begin among all, inputs as they come to be needed.
    std::map<ValueId, std::int64_t> begins;
    std::int64_t total = 0;
    const auto use = [&](ValueId v) {
      const auto [entry, added] = begins.try_emplace(v, total);
      if (added) {
        now.in.push_back(v);
        now.channels.in_sizes.push_back(channels_of(known_, v));
        total += now.channels.in_sizes.back();
      }
      return entry->second;
    };
    std::int64_t first = 0;  // Of output k among the channels of the node read through.
    for (std::size_t i = 0; i < k; ++i) first += move.channels.out_sizes[i];
    for_each(old, [&](std::size_t, std::int64_t, ValueId, ValueId x, std::int64_t channel) {
      if (x == move.out[k]) {
        const auto source =
            move.channels.source(move.channels.from[static_cast<std::size_t>(first + channel)]);
        x = move.in[source.input];
        channel = source.channel;
      }
      const std::int64_t begin = use(x);
      now.channels.from.push_back(begin + channel);
    });
    old = std::move(now);
    store(reader, old);
  }

  void drop_unread_inputs(Move& move) {
    Move now{{{}, move.channels.out_sizes, {}, move.channels.axis}, {}, move.out};
    std::vector<std::int64_t> begins(move.in.size(), -1);
    std::int64_t total = 0;
    for (const std::int64_t c : move.channels.from) {
      const auto source = move.channels.source(c);
      std::int64_t& begin = begins[source.input];
      if (begin < 0) {
        begin = total;
        total += move.channels.in_sizes[source.input];
        now.in.push_back(move.in[source.input]);
        now.channels.in_sizes.push_back(move.channels.in_sizes[source.input]);
      }
      now.channels.from.push_back(begin + source.channel);
    }
    move = std::move(now);
  }

  const ShapeAnalysis known_;
  Editor editor_;
  std::map<std::int32_t, Move> moves_;
};

}  // namespace

Status fuse_channels(Graph& graph, PassContext&) { return ChannelFuser(graph).run(); }

}  // namespace intact
