#include "passes/edit.h"

#include <algorithm>
#include <utility>

namespace intact {
namespace {

std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

}  // namespace

bool has_subgraph(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& a) {
    return std::holds_alternative<std::shared_ptr<Graph>>(a.second);
  });
}

Editor::Editor(Graph& graph) : graph_(graph), uses_(graph.uses()) {
  kept_ = uses_.is_output;
  is_input_.assign(graph.values.size(), false);
  for (const ValueId v : graph.inputs) is_input_[index(v)] = true;
}

std::int32_t Editor::producer(ValueId value) const {
  return value == kNoValue ? -1 : uses_.producer[index(value)];
}

std::int32_t Editor::producer(ValueId value, std::string_view op, std::string_view domain) const {
  const std::int32_t n = producer(value);
  return n >= 0 && node(n).is(op, domain) ? n : -1;
}

bool Editor::used_only_by(ValueId value, std::initializer_list<std::int32_t> nodes) const {
  if (kept(value)) return false;
  const auto& all = readers(value);
  return std::all_of(all.begin(), all.end(), [&](std::int32_t reader) {
    return std::find(nodes.begin(), nodes.end(), reader) != nodes.end();
  });
}

void Editor::link(std::int32_t n) {
  const Node& x = node(n);
  for (const ValueId v : x.inputs)
    if (v != kNoValue) {
      auto& readers = uses_.readers[index(v)];
      readers.insert(std::upper_bound(readers.begin(), readers.end(), n), n);
    }
  for (const ValueId v : x.outputs)
    if (v != kNoValue) uses_.producer[index(v)] = n;
  changed_ = true;
}

void Editor::unlink(std::int32_t n) {
  const Node& x = node(n);
  for (const ValueId v : x.inputs)
    if (v != kNoValue) {
      auto& readers = uses_.readers[index(v)];
      readers.erase(std::find(readers.begin(), readers.end(), n));
    }
  for (const ValueId v : x.outputs)
    if (v != kNoValue && uses_.producer[index(v)] == n) uses_.producer[index(v)] = -1;
  changed_ = true;
}

void Editor::prune(ValueId value) {
  std::vector<ValueId> todo{value};
  while (!todo.empty()) {
    const ValueId v = todo.back();
    todo.pop_back();
    const std::int32_t n = producer(v);
    if (n < 0) continue;
    const std::vector<ValueId> outputs = node(n).outputs;
    if (std::any_of(outputs.begin(), outputs.end(), [&](ValueId out) {
          return out != kNoValue && (kept(out) || !readers(out).empty());
        }))
      continue;
    const std::vector<ValueId> inputs = node(n).inputs;
    unlink(n);
    graph_.nodes[static_cast<std::size_t>(n)].op.clear();
    todo.insert(todo.end(), inputs.begin(), inputs.end());
  }
}

void Editor::rewrite(std::int32_t n, Node replacement) {
  const std::vector<ValueId> old_inputs = node(n).inputs;
  unlink(n);
  Node& slot = graph_.nodes[static_cast<std::size_t>(n)];
  if (replacement.outputs.empty()) replacement.outputs = slot.outputs;
  if (replacement.name.empty()) replacement.name = slot.name;
  slot = std::move(replacement);
  link(n);
  for (const ValueId v : old_inputs) prune(v);
}

void Editor::set_input(std::int32_t n, std::size_t i, ValueId value) {
  const ValueId old = node(n).in(i);
  if (old == value) return;
  unlink(n);
  auto& inputs = graph_.nodes[static_cast<std::size_t>(n)].inputs;
  if (inputs.size() <= i) inputs.resize(i + 1, kNoValue);
  inputs[i] = value;
  while (!inputs.empty() && inputs.back() == kNoValue) inputs.pop_back();
  link(n);
  prune(old);
}

void Editor::set_attribute(std::int32_t n, const std::string& key, Attribute value) {
  graph_.nodes[static_cast<std::size_t>(n)].attributes.insert_or_assign(key, std::move(value));
  changed_ = true;
}

void Editor::erase(std::int32_t n) {
  const std::vector<ValueId> inputs = node(n).inputs;
  unlink(n);
  graph_.nodes[static_cast<std::size_t>(n)].op.clear();
  for (const ValueId v : inputs) prune(v);
}

std::int32_t Editor::add(Node x) {
  graph_.nodes.push_back(std::move(x));
  const std::int32_t n = num_nodes() - 1;
  link(n);
  return n;
}

void Editor::grow() {
  const std::size_t size = graph_.values.size();
  uses_.producer.resize(size, -1);
  uses_.readers.resize(size);
  uses_.is_output.resize(size, false);
  kept_.resize(size, false);
  is_input_.resize(size, false);
}

ValueId Editor::add_value(std::string name, ValueType type) {
  const ValueId id = graph_.add_value(std::move(name), std::move(type));
  grow();
  return id;
}

ValueId Editor::add_constant(std::string name, Tensor tensor) {
  const ValueId id = graph_.add_constant(std::move(name), std::move(tensor));
  grow();
  return id;
}

ValueId Editor::changed_constant(std::int32_t n, ValueId old, Tensor tensor) {
  if (!used_only_by(old, {n})) return add_constant(graph_.value(old).name, std::move(tensor));
  Value& v = graph_.value(old);
  v.type.dtype = tensor.dtype();
  v.type.shape.emplace(tensor.shape().begin(), tensor.shape().end());
  v.constant = std::move(tensor);
  changed_ = true;
  return old;
}

void Editor::set_constant(ValueId id, Tensor tensor) {
  Value& v = graph_.value(id);
  v.type.dtype = tensor.dtype();
  v.type.shape.emplace(tensor.shape().begin(), tensor.shape().end());
  v.type.layout = Layout::kPlain;
  v.constant = std::move(tensor);
  const std::int32_t n = producer(id);
  if (n < 0) return;
  // The node no longer makes this value.
  unlink(n);
  auto& x = graph_.nodes[static_cast<std::size_t>(n)];
  std::replace(x.outputs.begin(), x.outputs.end(), id, kNoValue);
  link(n);
  const bool useful =
      std::any_of(x.outputs.begin(), x.outputs.end(), [](ValueId out) { return out != kNoValue; });
  if (!useful) erase(n);
}

bool Editor::replace_uses(ValueId from, ValueId to) {
  if (from == to) return false;
  if (uses_.is_output[index(from)] &&
      (is_input_[index(to)] || uses_.is_output[index(to)] || graph_.constant(to) != nullptr))
    return false;
  if (const auto& map = graph_.value(from).quant) {
    auto& known = graph_.value(to).quant;
    if (known && *known != *map) return false;
    known = map;
  }
  // What the model declares of an output is its interface, whoever computes it.
  if (uses_.is_output[index(from)]) {
    const Layout layout = graph_.value(to).type.layout;
    graph_.value(to).type = graph_.value(from).type;
    graph_.value(to).type.layout = layout;
  }
  graph_.replace_uses(from, to);
  auto& old_readers = uses_.readers[index(from)];
  auto& new_readers = uses_.readers[index(to)];
  new_readers.insert(new_readers.end(), old_readers.begin(), old_readers.end());
  std::sort(new_readers.begin(), new_readers.end());
  old_readers.clear();
  if (uses_.is_output[index(from)]) {
    uses_.is_output[index(to)] = kept_[index(to)] = true;
    uses_.is_output[index(from)] = kept_[index(from)] = false;
  }
  changed_ = true;
  prune(from);
  return true;
}

Status Editor::finish() {
  if (!changed_) return {};
  return graph_.sort();
}

}  // namespace intact
