// eliminate_common_subexpressions: computes equal expressions once and stores equal constants once.
//
// Exporters unroll: the same Shape chain before every Reshape, the same mask for every attention
// layer, one copy of a scalar per use. Two nodes are equal when operator, domain, attributes,
// inputs and number of outputs are equal; two constants when type, shape and bytes are. Random
// operators and nodes with subgraphs are never equal to anything. Graph outputs keep their names: a
// node that makes one is not replaced by a node that makes another.
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>

#include "passes/edit.h"
#include "passes/node_traits.h"
#include "passes/registry.h"

namespace intact {
namespace {

// Bytes, each part preceded by its length, so that different lists give different keys.
class Key {
 public:
  template <class T>
  void number(T x) {
    char bytes[sizeof x];
    std::memcpy(bytes, &x, sizeof x);
    text_.append(bytes, sizeof x);
  }
  void bytes(std::string_view s) {
    number(s.size());
    text_.append(s);
  }
  void tensor(const Tensor& t) {
    number(t.dtype());
    number(t.rank());
    for (const auto n : t.shape()) number(n);
    bytes({reinterpret_cast<const char*>(t.raw()), t.bytes()});
  }
  std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

void append(Key& key, const Attribute& attribute) {
  key.number(attribute.index());
  std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_arithmetic_v<T>) {
          key.number(x);
        } else if constexpr (std::is_same_v<T, std::string>) {
          key.bytes(x);
        } else if constexpr (std::is_same_v<T, Tensor>) {
          key.tensor(x);
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          key.number(x.size());
          for (const auto& s : x) key.bytes(s);
        } else if constexpr (!std::is_same_v<T, std::shared_ptr<Graph>>) {
          key.number(x.size());
          for (const auto item : x) key.number(item);
        }
      },
      attribute);
}

std::string key_of(const Node& node) {
  Key key;
  key.bytes(node.domain);
  key.bytes(node.op);
  key.number(node.inputs.size());
  for (const ValueId v : node.inputs) key.number(v);
  key.number(node.outputs.size());
  for (const auto& [name, attribute] : node.attributes) {
    key.bytes(name);
    append(key, attribute);
  }
  return std::move(key).take();
}

// Larger constants are rarely equal, and hashing all weights would cost more than it saves.
constexpr std::size_t kMaxComparedBytes = std::size_t{1} << 16;

void merge_constants(Editor& editor) {
  Graph& graph = editor.graph();
  std::unordered_map<std::string, ValueId> first;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const auto v = static_cast<ValueId>(i);
    const Value& value = graph.values[i];
    if (!value.constant || value.constant->dtype() == Dtype::kString ||
        value.constant->bytes() > kMaxComparedBytes || value.quant || editor.readers(v).empty())
      continue;
    Key key;
    key.tensor(*value.constant);
    const auto [it, inserted] = first.emplace(std::move(key).take(), v);
    if (!inserted) editor.replace_uses(v, it->second);
  }
}

}  // namespace

Status eliminate_common_subexpressions(Graph& graph, PassContext&) {
  Editor editor(graph);
  merge_constants(editor);
  std::unordered_map<std::string, std::int32_t> first;
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    const Node& node = editor.node(n);
    if (node.op.empty() || is_random(node) || has_subgraph(node)) continue;
    const auto [it, inserted] = first.emplace(key_of(node), n);
    if (inserted) continue;
    const std::vector<ValueId> from = node.outputs;
    const std::vector<ValueId> to = editor.node(it->second).outputs;
    for (std::size_t i = 0; i < from.size(); ++i)
      if (from[i] != kNoValue && to[i] != kNoValue) editor.replace_uses(from[i], to[i]);
  }
  return editor.finish();
}

}  // namespace intact
