#include "onnx/export_graph.h"

#include <fmt/format.h>

#include <utility>

#include "ir/intact_ops.h"
#include "ir/text.h"

namespace intact {
namespace {

tl::unexpected<Error> cannot_say(std::string message) {
  return fail(ErrorCode::kUnsupported, std::move(message));
}

void export_type(const ValueType& type, proto::TypeProto& out) {
  auto& tensor = *out.mutable_tensor_type();
  tensor.set_elem_type(static_cast<std::int32_t>(type.dtype));
  if (!type.shape) return;
  auto& shape = *tensor.mutable_shape();
  for (const Dim& dim : *type.shape) {
    auto& d = *shape.add_dim();
    if (dim.known()) d.set_dim_value(dim.size);
    if (!dim.known() && !dim.symbol.empty()) d.set_dim_param(dim.symbol);
  }
}

void export_tensor(const std::string& name, const Tensor& tensor, proto::TensorProto& out) {
  export_tensor_header(name, tensor, out);
  out.set_raw_data(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
}

// One graph; for a body, with the names that are taken outside and those of its captured inputs.
class Exporter {
 public:
  Exporter(const Graph& graph, proto::GraphProto& out) : g_(graph), out_(out) {}

  Status run(const Exporter* outer, const Node* owner);

 private:
  void choose_names(const Exporter* outer, const Node* owner);
  [[nodiscard]] bool taken(const std::string& name) const {
    return used_.contains(name) || (outer_ != nullptr && outer_->taken(name));
  }
  [[nodiscard]] const std::string& name(ValueId id) const {
    static const std::string omitted;
    return id == kNoValue ? omitted : names_[static_cast<std::size_t>(id)];
  }
  void value_info(ValueId id, proto::ValueInfoProto& info) const;
  Status node(const Node& n);
  Status attribute(const Node& n, const std::string& key, const Attribute& a,
                   proto::AttributeProto& out);
  void body_outputs(std::size_t formal);

  const Graph& g_;
  proto::GraphProto& out_;
  const Exporter* outer_ = nullptr;
  std::vector<std::string> names_;
  std::unordered_set<std::string> used_;
};

void Exporter::choose_names(const Exporter* outer, const Node* owner) {
  outer_ = outer;
  names_.resize(g_.values.size());
  if (outer == nullptr) {
    for (std::size_t v = 0; v < g_.values.size(); ++v) {
      names_[v] = g_.values[v].name;
      used_.insert(names_[v]);
    }
    return;
  }
  // Captured values are read by the name that they have outside.
  const auto captured = static_cast<std::size_t>(owner->num_captured);
  const std::size_t formal = g_.inputs.size() - captured;
  for (std::size_t i = 0; i < captured; ++i) {
    const ValueId outside = owner->inputs[owner->inputs.size() - captured + i];
    names_[static_cast<std::size_t>(g_.inputs[formal + i])] = outer->name(outside);
  }
  // ONNX wants names that differ from all names outside.
  for (std::size_t v = 0; v < g_.values.size(); ++v) {
    if (!names_[v].empty()) continue;
    std::string wanted = g_.values[v].name;
    for (int i = 0; taken(wanted); ++i) wanted = fmt::format("{}_{}", g_.values[v].name, i);
    used_.insert(wanted);
    names_[v] = std::move(wanted);
  }
}

void Exporter::value_info(ValueId id, proto::ValueInfoProto& info) const {
  const Value& v = g_.value(id);
  info.set_name(name(id));
  if (v.type.dtype != Dtype::kUndefined) export_type(v.type, *info.mutable_type());
  if (!v.doc_string.empty()) info.set_doc_string(v.doc_string);
}

Status Exporter::attribute(const Node& n, const std::string& key, const Attribute& a,
                           proto::AttributeProto& out) {
  using A = proto::AttributeProto;
  out.set_name(key);
  if (const auto* i = std::get_if<std::int64_t>(&a)) {
    out.set_type(A::INT);
    out.set_i(*i);
  } else if (const auto* f = std::get_if<float>(&a)) {
    out.set_type(A::FLOAT);
    out.set_f(*f);
  } else if (const auto* s = std::get_if<std::string>(&a)) {
    out.set_type(A::STRING);
    out.set_s(*s);
  } else if (const auto* t = std::get_if<Tensor>(&a)) {
    out.set_type(A::TENSOR);
    export_tensor({}, *t, *out.mutable_t());
  } else if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&a)) {
    out.set_type(A::GRAPH);
    Exporter inner(**body, *out.mutable_g());
    if (Status ok = inner.run(this, &n); !ok)
      return fail(ok.error().with_context(fmt::format("body '{}'", printable(key))));
  } else if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&a)) {
    out.set_type(A::INTS);
    out.mutable_ints()->Add(ints->begin(), ints->end());
  } else if (const auto* floats = std::get_if<std::vector<float>>(&a)) {
    out.set_type(A::FLOATS);
    out.mutable_floats()->Add(floats->begin(), floats->end());
  } else {
    out.set_type(A::STRINGS);
    for (const auto& text : std::get<std::vector<std::string>>(a)) out.add_strings(text);
  }
  return {};
}

Status Exporter::node(const Node& n) {
  if (n.domain == kIntactDomain)
    return cannot_say(fmt::format("operator {}.{} exists only inside of intact", n.domain, n.op));
  proto::NodeProto& p = *out_.add_node();
  if (!n.name.empty()) p.set_name(n.name);
  p.set_op_type(n.op);
  if (!n.domain.empty()) p.set_domain(n.domain);
  if (!n.doc_string.empty()) p.set_doc_string(n.doc_string);
  for (const auto& [key, value] : n.metadata) {
    auto& entry = *p.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  const std::size_t written = n.inputs.size() - static_cast<std::size_t>(n.num_captured);
  for (std::size_t i = 0; i < written; ++i) p.add_input(name(n.inputs[i]));
  for (const ValueId id : n.outputs) p.add_output(name(id));
  for (const auto& [key, a] : n.attributes) INTACT_TRY(attribute(n, key, a, *p.add_attribute()));
  return {};
}

// The outputs of a body must be its own values: a captured one goes through an Identity.
void Exporter::body_outputs(std::size_t formal) {
  for (int i = 0; i < out_.output_size(); ++i) {
    for (std::size_t c = formal; c < g_.inputs.size(); ++c) {
      auto& info = *out_.mutable_output(i);
      if (info.name() != name(g_.inputs[c])) continue;
      std::string fresh;
      int k = 0;
      do fresh = fmt::format("{}_out_{}", name(g_.inputs[c]), k++);
      while (taken(fresh));
      used_.insert(fresh);
      proto::NodeProto& identity = *out_.add_node();
      identity.set_op_type("Identity");
      identity.add_input(info.name());
      identity.add_output(fresh);
      info.set_name(fresh);
    }
  }
}

Status Exporter::run(const Exporter* outer, const Node* owner) {
  choose_names(outer, owner);
  for (const Value& v : g_.values) {
    if (v.quant)
      return cannot_say(
          fmt::format("value '{}' carries scales, which ONNX has only in "
                      "QuantizeLinear and DequantizeLinear",
                      printable(v.name)));
    if (v.type.layout != Layout::kPlain)
      return cannot_say(fmt::format("value '{}' is channels-last", printable(v.name)));
  }
  // The checker wants a name for every graph.
  out_.set_name(g_.name.empty() ? "graph" : g_.name);
  if (!g_.doc_string.empty()) out_.set_doc_string(g_.doc_string);
  const std::size_t captured = owner == nullptr ? 0 : static_cast<std::size_t>(owner->num_captured);
  const std::size_t formal = g_.inputs.size() - captured;
  std::vector<bool> described(g_.values.size(), false);
  for (std::size_t i = 0; i < g_.inputs.size(); ++i) {
    described[static_cast<std::size_t>(g_.inputs[i])] = true;
    if (i < formal) value_info(g_.inputs[i], *out_.add_input());
  }
  for (const ValueId id : g_.outputs) {
    described[static_cast<std::size_t>(id)] = true;
    value_info(id, *out_.add_output());
  }
  for (std::size_t v = 0; v < g_.values.size(); ++v) {
    const Value& value = g_.values[v];
    const auto id = static_cast<ValueId>(v);
    if (value.constant) {
      if (outer != nullptr) export_tensor(name(id), *value.constant, *out_.add_initializer());
    } else if (!described[v] && value.type.dtype != Dtype::kUndefined && value.type.shape) {
      value_info(id, *out_.add_value_info());
    }
  }
  for (const Node& n : g_.nodes) {
    if (n.op.empty()) continue;
    if (Status ok = node(n); !ok)
      return fail(ok.error().with_context(fmt::format("node '{}'", printable(n.name))));
  }
  if (owner != nullptr) body_outputs(formal);
  return {};
}

}  // namespace

void export_tensor_header(const std::string& name, const Tensor& tensor, proto::TensorProto& out) {
  if (!name.empty()) out.set_name(name);
  out.set_data_type(static_cast<std::int32_t>(tensor.dtype()));
  for (const std::int64_t size : tensor.shape()) out.add_dims(size);
}

Status export_graph(const Graph& graph, proto::GraphProto& out) {
  return Exporter(graph, out).run(nullptr, nullptr);
}

}  // namespace intact
