#include "onnx/import_graph.h"

#include <fmt/format.h>

#include <deque>
#include <memory>

#include "ir/text.h"
#include "onnx/attribute_types.h"
#include "onnx/import_tensor.h"
#include "onnx/import_type.h"

namespace intact {
namespace {

constexpr int kMaxDepth = 16;  // Bodies in bodies.

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::kInvalidModel, std::move(message));
}

std::string who(const proto::NodeProto& node) {
  if (!node.name().empty()) return fmt::format("node '{}'", printable(node.name()));
  if (node.output_size() > 0)
    return fmt::format("the {} node that gives '{}'", printable(node.op_type()),
                       printable(node.output(0)));
  return fmt::format("a node of type '{}'", printable(node.op_type()));
}

bool is_default_domain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

bool is_constant(const proto::NodeProto& node) {
  return node.op_type() == "Constant" && is_default_domain(node.domain());
}

// One bit for each kind of value that an attribute has: 1 << AttributeType.
std::uint32_t kinds_of(const proto::AttributeProto& a) {
  std::uint32_t kinds = 0;
  const auto note = [&](bool present, std::uint32_t type) { kinds |= present ? 1U << type : 0U; };
  using A = proto::AttributeProto;
  note(a.has_f(), A::FLOAT);
  note(a.has_i(), A::INT);
  note(a.has_s(), A::STRING);
  note(a.has_t(), A::TENSOR);
  note(a.has_g(), A::GRAPH);
  note(a.has_sparse_tensor(), A::SPARSE_TENSOR);
  note(a.has_tp(), A::TYPE_PROTO);
  note(a.floats_size() > 0, A::FLOATS);
  note(a.ints_size() > 0, A::INTS);
  note(a.strings_size() > 0, A::STRINGS);
  note(a.tensors_size() > 0, A::TENSORS);
  note(a.graphs_size() > 0, A::GRAPHS);
  note(a.sparse_tensors_size() > 0, A::SPARSE_TENSORS);
  note(a.type_protos_size() > 0, A::TYPE_PROTOS);
  return kinds;
}

std::int32_t lowest_kind(std::uint32_t kinds) {
  return kinds == 0 ? 0 : static_cast<std::int32_t>(__builtin_ctz(kinds));
}

// Returns the type of the attribute, after checking that its value is of it and, for ONNX's own
// operators, that it is the one which the operator asks for.
Result<std::int32_t> checked_type(const proto::AttributeProto& a, bool default_domain) {
  const std::uint32_t kinds = kinds_of(a);
  const std::int32_t standard = default_domain ? standard_attribute_type(a.name()) : 0;
  std::int32_t type = a.type();
  if (type == 0) {  // Files of IR version 1 say nothing.
    if ((kinds & (kinds - 1)) != 0) return wrong("it has values of several types and says none");
    type = kinds == 0 ? standard : lowest_kind(kinds);
    if (type == 0) return wrong("it has neither type nor value");
  }
  const std::uint32_t own = type > 0 && type < 32 ? 1U << static_cast<std::uint32_t>(type) : 0U;
  if (const std::uint32_t others = kinds & ~own; others != 0)
    return wrong(fmt::format("it says that it is {} but holds {}", attribute_type_name(type),
                             attribute_type_name(lowest_kind(others))));
  if (standard != 0 && type != standard)
    return wrong(fmt::format("it is {}, where ONNX asks for {}", attribute_type_name(type),
                             attribute_type_name(standard)));
  return type;
}

}  // namespace

Status GraphImporter::define(const std::string& name, ValueType type) {
  if (name.empty()) return wrong("a value has an empty name");
  if (graph_.find_value(name))
    return wrong(
        fmt::format("'{}' is defined twice; every name must have one definition", printable(name)));
  graph_.add_value(name, std::move(type));
  return {};
}

std::optional<ValueId> GraphImporter::resolve(const std::string& name) {
  if (const auto here = graph_.find_value(name)) return here;
  if (outer_ == nullptr) return std::nullopt;
  const auto outside = outer_->resolve(name);
  if (!outside) return std::nullopt;
  bool known = false;
  for (const std::string& n : captures_->names) known |= n == name;
  if (!known) {
    captures_->names.push_back(name);
    captures_->outer.push_back(*outside);
  }
  const ValueId id = graph_.add_value(name, outer_->graph_.value(*outside).type);
  captured_.emplace(name, id);
  return id;
}

void GraphImporter::append_captured(const Captures& captures, Graph& body) const {
  for (std::size_t i = 0; i < captures.names.size(); ++i) {
    const auto it = captured_.find(captures.names[i]);
    body.inputs.push_back(it != captured_.end() ? it->second : body.add_value(captures.names[i]));
  }
}

Status GraphImporter::add_initializers(proto::GraphProto& g) {
  if (g.sparse_initializer_size() > 0)
    return fail(ErrorCode::kUnsupported,
                fmt::format("initializer '{}' is sparse, which is not supported; store it dense",
                            printable(g.sparse_initializer(0).values().name())));
  for (auto& t : *g.mutable_initializer()) {
    const std::string name = t.name();
    const std::string doc = t.doc_string();
    INTACT_TRY(define(name, {}));
    auto tensor = take_tensor(t, context_.external);
    if (!tensor)
      return fail(tensor.error().with_context(fmt::format("initializer '{}'", printable(name))));
    Value& v = graph_.values.back();
    v.type.dtype = tensor->dtype();
    v.type.shape.emplace(tensor->shape().begin(), tensor->shape().end());
    v.constant = *std::move(tensor);
    v.doc_string = doc;
  }
  g.clear_initializer();
  return {};
}

Status GraphImporter::add_inputs(proto::GraphProto& g) {
  for (auto& info : *g.mutable_input()) {
    // An initializer of the same name is the input's default; we take it for good.
    const auto id = graph_.find_value(info.name());
    const bool has_default = id && graph_.constant(*id) != nullptr;
    if (has_default) continue;
    INTACT_TRY(define(info.name(), {}));
    graph_.inputs.push_back(static_cast<ValueId>(graph_.values.size() - 1));
    INTACT_TRY(set_type(info, /*strict=*/true));
  }
  return {};
}

Status GraphImporter::set_type(const proto::ValueInfoProto& info, bool strict) {
  const auto id = graph_.find_value(info.name());
  if (!id) return {};
  Value& v = graph_.value(*id);
  if (!info.doc_string().empty()) v.doc_string = info.doc_string();
  if (v.constant || !info.has_type()) return {};
  auto type = type_from_onnx(info.type(), strict);
  if (!type)
    return fail(type.error().with_context(fmt::format("value '{}'", printable(info.name()))));
  if (type->dtype != Dtype::kUndefined) v.type.dtype = type->dtype;
  if (type->shape) v.type.shape = std::move(type->shape);
  return {};
}

Status GraphImporter::add_types(proto::GraphProto& g) {
  for (const auto& info : g.value_info()) INTACT_TRY(set_type(info, /*strict=*/false));
  for (const auto& info : g.output()) INTACT_TRY(set_type(info, /*strict=*/true));
  return {};
}

Status GraphImporter::declare(proto::NodeProto& p) {
  if (p.op_type().empty()) return wrong("it has no operator");
  if (is_constant(p)) return add_constant_node(p);
  for (const std::string& name : p.output())
    if (!name.empty()) INTACT_TRY(define(name, {}));
  return {};
}

Status GraphImporter::add_constant_node(proto::NodeProto& p) {
  if (p.output_size() != 1 || p.input_size() != 0 || p.attribute_size() != 1)
    return wrong("a Constant has no inputs, one output and one attribute");
  auto& a = *p.mutable_attribute(0);
  const std::string& key = a.name();
  Tensor tensor;
  if (key == "value" && a.has_t()) {
    INTACT_ASSIGN(tensor, take_tensor(*a.mutable_t(), context_.external));
  } else if (key == "value_float" && a.has_f()) {
    tensor = Tensor::scalar(a.f());
  } else if (key == "value_int" && a.has_i()) {
    tensor = Tensor::scalar(std::int64_t{a.i()});
  } else if (key == "value_floats" && kinds_of(a) <= 1U << proto::AttributeProto::FLOATS) {
    tensor = Tensor::of<float>(
        {a.floats_size()}, std::span(a.floats().data(), static_cast<std::size_t>(a.floats_size())));
  } else if (key == "value_ints" && kinds_of(a) <= 1U << proto::AttributeProto::INTS) {
    tensor = Tensor(Dtype::kInt64, {a.ints_size()});
    std::copy(a.ints().begin(), a.ints().end(), tensor.mutable_values<std::int64_t>().begin());
  } else if (key == "value_string" || key == "value_strings" || key == "sparse_value") {
    return fail(ErrorCode::kUnsupported,
                fmt::format("a Constant with '{}' is not supported", printable(key)));
  } else {
    return wrong(fmt::format("attribute '{}' is not a value of a Constant", printable(key)));
  }
  INTACT_TRY(define(p.output(0), {}));
  Value& v = graph_.values.back();
  v.type.dtype = tensor.dtype();
  v.type.shape.emplace(tensor.shape().begin(), tensor.shape().end());
  v.constant = std::move(tensor);
  v.doc_string = p.doc_string();
  return {};
}

Result<Attribute> GraphImporter::attribute(proto::AttributeProto& a, std::int32_t type) {
  using A = proto::AttributeProto;
  switch (type) {
    case A::FLOAT:
      return Attribute(a.f());
    case A::INT:
      return Attribute(std::int64_t{a.i()});
    case A::STRING:
      return Attribute(a.s());
    case A::FLOATS:
      return Attribute(std::vector<float>(a.floats().begin(), a.floats().end()));
    case A::INTS:
      return Attribute(std::vector<std::int64_t>(a.ints().begin(), a.ints().end()));
    case A::STRINGS:
      return Attribute(std::vector<std::string>(a.strings().begin(), a.strings().end()));
    case A::TENSOR: {
      if (!a.has_t()) return wrong("it has no tensor");
      INTACT_ASSIGN(Tensor tensor, take_tensor(*a.mutable_t(), context_.external));
      return Attribute(std::move(tensor));
    }
    default:
      return fail(ErrorCode::kUnsupported,
                  fmt::format("it is {}, which is not supported", attribute_type_name(type)));
  }
}

Status GraphImporter::add_body(proto::AttributeProto& a, Node& node, Captures& captures) {
  if (!a.has_g()) return wrong("it has no graph");
  if (depth_ >= kMaxDepth)
    return fail(ErrorCode::kUnsupported,
                fmt::format("bodies are nested deeper than {}", kMaxDepth));
  GraphImporter importer(context_, this, &captures);
  INTACT_ASSIGN(Graph body, importer.run(*a.mutable_g()));
  auto shared = std::make_shared<Graph>(std::move(body));
  node.attributes[a.name()] = shared;
  bodies_.emplace_back(std::move(importer), std::move(shared));
  return {};
}

Status GraphImporter::add_attributes(proto::NodeProto& p, Node& node, Captures& captures) {
  for (auto& a : *p.mutable_attribute()) {
    const auto here = [&] { return fmt::format("attribute '{}'", printable(a.name())); };
    if (a.name().empty()) return wrong("an attribute has no name");
    if (node.has(a.name())) return wrong(here() + " is given twice");
    if (!a.ref_attr_name().empty())
      return wrong(here() + " refers to an attribute of a function, and this is none");
    const auto type = checked_type(a, node.domain.empty());
    if (!type) return fail(type.error().with_context(here()));
    if (*type == proto::AttributeProto::GRAPH) {
      if (Status ok = add_body(a, node, captures); !ok)
        return fail(ok.error().with_context(here()));
      continue;
    }
    auto value = attribute(a, *type);
    if (!value) return fail(value.error().with_context(here()));
    node.attributes.emplace(a.name(), *std::move(value));
  }
  return {};
}

Status GraphImporter::add_node(proto::NodeProto& p) {
  Node node;
  node.name = p.name();
  node.doc_string = p.doc_string();
  node.op = p.op_type();
  node.domain = is_default_domain(p.domain()) ? "" : p.domain();
  if (!context_.opsets.contains(node.domain))
    return wrong(
        fmt::format("its operator {} is of domain '{}', of which the model imports no "
                    "version",
                    printable(node.op), node.domain.empty() ? "ai.onnx" : printable(node.domain)));
  for (const auto& entry : p.metadata_props()) node.metadata[entry.key()] = entry.value();
  for (const std::string& name : p.input()) {
    const auto id = name.empty() ? std::optional(kNoValue) : resolve(name);
    if (!id)
      return wrong(
          fmt::format("it reads '{}', which no node, input or initializer gives", printable(name)));
    node.inputs.push_back(*id);
  }
  for (const std::string& name : p.output())
    node.outputs.push_back(name.empty() ? kNoValue : *graph_.find_value(name));
  Captures captures;
  bodies_.clear();
  INTACT_TRY(add_attributes(p, node, captures));
  for (auto& [importer, body] : bodies_) importer.append_captured(captures, *body);
  node.inputs.insert(node.inputs.end(), captures.outer.begin(), captures.outer.end());
  node.num_captured = static_cast<std::int32_t>(captures.outer.size());
  graph_.nodes.push_back(std::move(node));
  return {};
}

Status GraphImporter::add_outputs(proto::GraphProto& g) {
  for (const auto& info : g.output()) {
    const auto id = resolve(info.name());
    if (!id)
      return wrong(fmt::format("output '{}' is given by no node, input or initializer",
                               printable(info.name())));
    graph_.outputs.push_back(*id);
  }
  return {};
}

Result<Graph> GraphImporter::run(proto::GraphProto& g) {
  graph_.name = g.name();
  graph_.doc_string = g.doc_string();
  INTACT_TRY(add_initializers(g));
  INTACT_TRY(add_inputs(g));
  std::deque<proto::NodeProto> owned;
  std::vector<proto::NodeProto*> nodes;
  INTACT_TRY(context_.functions.expand(*g.mutable_node(), owned, nodes));
  // All names first: nodes may come in any order, and bodies may read what comes later.
  for (proto::NodeProto* p : nodes)
    if (Status ok = declare(*p); !ok) return fail(ok.error().with_context(who(*p)));
  INTACT_TRY(add_types(g));
  graph_.nodes.reserve(nodes.size());
  for (proto::NodeProto* p : nodes) {
    if (is_constant(*p)) continue;
    if (Status ok = add_node(*p); !ok) return fail(ok.error().with_context(who(*p)));
  }
  INTACT_TRY(add_outputs(g));
  INTACT_TRY(graph_.sort());
  return std::move(graph_);
}

}  // namespace intact
