#include "ir/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <utility>

namespace intact {
namespace {

template <class T>
const T* find_attribute(const Node& node, std::string_view key) {
  const auto it = node.attributes.find(std::string(key));
  return it == node.attributes.end() ? nullptr : std::get_if<T>(&it->second);
}

std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

}  // namespace

std::int64_t Node::get_int(std::string_view key, std::int64_t otherwise) const {
  const auto* x = find_attribute<std::int64_t>(*this, key);
  return x != nullptr ? *x : otherwise;
}
float Node::get_float(std::string_view key, float otherwise) const {
  const auto* x = find_attribute<float>(*this, key);
  return x != nullptr ? *x : otherwise;
}
std::string Node::get_string(std::string_view key, std::string_view otherwise) const {
  const auto* x = find_attribute<std::string>(*this, key);
  return x != nullptr ? *x : std::string(otherwise);
}
std::vector<std::int64_t> Node::get_ints(std::string_view key,
                                         std::vector<std::int64_t> otherwise) const {
  const auto* x = find_attribute<std::vector<std::int64_t>>(*this, key);
  return x != nullptr ? *x : std::move(otherwise);
}
std::vector<float> Node::get_floats(std::string_view key) const {
  const auto* x = find_attribute<std::vector<float>>(*this, key);
  return x != nullptr ? *x : std::vector<float>{};
}
const Tensor* Node::get_tensor(std::string_view key) const {
  return find_attribute<Tensor>(*this, key);
}
bool Node::has(std::string_view key) const {
  return attributes.find(std::string(key)) != attributes.end();
}

std::string Graph::unique_name(std::string wanted) const {
  if (!wanted.empty() && !by_name_.contains(wanted)) return wanted;
  const std::string stem = wanted.empty() ? "v" : std::move(wanted);
  for (std::int64_t i = next_suffix_;; ++i) {
    std::string name_i = fmt::format("{}_{}", stem, i);
    if (!by_name_.contains(name_i)) return name_i;
  }
}

ValueId Graph::add_value(std::string wanted, ValueType type) {
  Value v;
  const bool numbered = wanted.empty();
  v.name = unique_name(std::move(wanted));
  if (numbered) ++next_suffix_;
  v.type = std::move(type);
  const auto id = static_cast<ValueId>(values.size());
  by_name_.emplace(v.name, id);
  values.push_back(std::move(v));
  return id;
}

ValueId Graph::add_constant(std::string wanted, Tensor tensor) {
  ValueType type;
  type.dtype = tensor.dtype();
  type.shape.emplace(tensor.shape().begin(), tensor.shape().end());
  const ValueId id = add_value(std::move(wanted), std::move(type));
  value(id).constant = std::move(tensor);
  return id;
}

ValueId Graph::add_node(Node node, std::string output_name, ValueType type) {
  const ValueId id = add_value(std::move(output_name), std::move(type));
  node.outputs = {id};
  nodes.push_back(std::move(node));
  return id;
}

std::optional<ValueId> Graph::find_value(std::string_view wanted) const {
  const auto it = by_name_.find(wanted);
  if (it == by_name_.end()) return std::nullopt;
  return it->second;
}

Uses Graph::uses() const {
  Uses u;
  u.producer.assign(values.size(), -1);
  u.readers.resize(values.size());
  u.is_output.assign(values.size(), false);
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].op.empty()) continue;
    for (const ValueId in : nodes[n].inputs)
      if (in != kNoValue) u.readers[index(in)].push_back(static_cast<std::int32_t>(n));
    for (const ValueId out : nodes[n].outputs)
      if (out != kNoValue) u.producer[index(out)] = static_cast<std::int32_t>(n);
  }
  for (const ValueId out : outputs) u.is_output[index(out)] = true;
  return u;
}

void Graph::replace_uses(ValueId from, ValueId to) {
  if (from == to) return;
  for (Node& node : nodes)
    if (!node.op.empty()) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  if (std::find(outputs.begin(), outputs.end(), from) == outputs.end()) return;
  std::replace(outputs.begin(), outputs.end(), from, to);
  const bool to_is_input = std::find(inputs.begin(), inputs.end(), to) != inputs.end();
  if (!to_is_input) {
    std::swap(value(from).name, value(to).name);
    by_name_[value(from).name] = from;
    by_name_[value(to).name] = to;
  }
}

Status Graph::sort() {
  std::erase_if(nodes, [](const Node& node) { return node.op.empty(); });
  const Uses u = uses();
  std::vector<int> missing(nodes.size(), 0);
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    for (const ValueId in : nodes[n].inputs)
      if (in != kNoValue && u.producer[index(in)] >= 0) ++missing[n];
    if (missing[n] == 0) ready.push(n);
  }
  std::vector<Node> ordered;
  ordered.reserve(nodes.size());
  std::vector<bool> placed(nodes.size(), false);
  while (!ready.empty()) {
    const std::size_t n = ready.top();
    ready.pop();
    placed[n] = true;
    for (const ValueId out : nodes[n].outputs) {
      if (out == kNoValue) continue;
      for (const std::int32_t reader : u.readers[index(out)])
        if (--missing[static_cast<std::size_t>(reader)] == 0)
          ready.push(static_cast<std::size_t>(reader));
    }
    ordered.push_back(std::move(nodes[n]));
  }
  if (ordered.size() != nodes.size()) {
    const auto at =
        static_cast<std::size_t>(std::find(placed.begin(), placed.end(), false) - placed.begin());
    const std::string who = nodes[at].name.empty() ? nodes[at].op : nodes[at].name;
    return fail(ErrorCode::kInvalidModel,
                fmt::format("node '{}' is on a cycle: its input depends on its output", who));
  }
  nodes = std::move(ordered);
  return {};
}

void Graph::compact() {
  std::vector<bool> used(values.size(), false);
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (const ValueId id : ids)
      if (id != kNoValue) used[index(id)] = true;
  };
  mark(inputs);
  mark(outputs);
  for (const Node& node : nodes) {
    mark(node.inputs);
    mark(node.outputs);
  }
  std::vector<ValueId> renumbered(values.size(), kNoValue);
  std::vector<Value> kept;
  for (std::size_t v = 0; v < values.size(); ++v) {
    if (!used[v]) continue;
    renumbered[v] = static_cast<ValueId>(kept.size());
    kept.push_back(std::move(values[v]));
  }
  values = std::move(kept);
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids)
      if (id != kNoValue) id = renumbered[index(id)];
  };
  renumber(inputs);
  renumber(outputs);
  for (Node& node : nodes) {
    renumber(node.inputs);
    renumber(node.outputs);
  }
  index_names();
}

Graph Graph::clone() const {
  Graph copy = *this;
  for (Node& node : copy.nodes)
    for (auto& [key, attribute] : node.attributes)
      if (auto* sub = std::get_if<std::shared_ptr<Graph>>(&attribute); sub != nullptr && *sub)
        *sub = std::make_shared<Graph>((*sub)->clone());
  return copy;
}

void Graph::index_names() {
  by_name_.clear();
  for (std::size_t v = 0; v < values.size(); ++v)
    by_name_.emplace(values[v].name, static_cast<ValueId>(v));
}

void Graph::rename(ValueId id, std::string new_name) {
  INTACT_CHECK(!by_name_.contains(new_name), "value name '{}' is taken", new_name);
  by_name_.erase(value(id).name);
  by_name_.emplace(new_name, id);
  value(id).name = std::move(new_name);
}

}  // namespace intact
