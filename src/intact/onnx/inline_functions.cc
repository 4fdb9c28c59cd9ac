#include "onnx/inline_functions.h"

#include <fmt/format.h>

#include <utility>

#include "ir/text.h"

namespace intact {
namespace {

constexpr int kMaxDepth = 32;

// One call: how names and attributes of the body translate.
struct Call {
  const proto::NodeProto& node;
  const proto::FunctionProto& function;
  std::string prefix;
  std::map<std::string, std::string> names;

  [[nodiscard]] std::string name(const std::string& inner) const {
    if (inner.empty()) return inner;
    const auto it = names.find(inner);
    return it != names.end() ? it->second : prefix + inner;
  }
  // What the call, or the function's default, gives for an attribute; null when neither does.
  [[nodiscard]] const proto::AttributeProto* argument(const std::string& key) const {
    for (const auto& a : node.attribute())
      if (a.name() == key) return &a;
    for (const auto& a : function.attribute_proto())
      if (a.name() == key) return &a;
    return nullptr;
  }
};

void translate(proto::NodeProto& node, const Call& call);

void translate(proto::GraphProto& graph, const Call& call) {
  for (auto& x : *graph.mutable_initializer()) x.set_name(call.name(x.name()));
  for (auto& x : *graph.mutable_input()) x.set_name(call.name(x.name()));
  for (auto& x : *graph.mutable_output()) x.set_name(call.name(x.name()));
  for (auto& x : *graph.mutable_value_info()) x.set_name(call.name(x.name()));
  for (auto& x : *graph.mutable_node()) translate(x, call);
}

void translate(proto::NodeProto& node, const Call& call) {
  if (!node.name().empty()) node.set_name(call.prefix + node.name());
  for (auto& x : *node.mutable_input()) x = call.name(x);
  for (auto& x : *node.mutable_output()) x = call.name(x);
  google::protobuf::RepeatedPtrField<proto::AttributeProto> kept;
  for (auto& a : *node.mutable_attribute()) {
    if (!a.ref_attr_name().empty()) {
      const auto* given = call.argument(a.ref_attr_name());
      if (given == nullptr) continue;  // Optional and not given: the operator's default holds.
      const std::string key = a.name();
      a = *given;
      a.set_name(key);
    } else if (a.has_g()) {
      translate(*a.mutable_g(), call);
    }
    *kept.Add() = std::move(a);
  }
  node.mutable_attribute()->Swap(&kept);
}

std::string who(const proto::FunctionProto& f) {
  return fmt::format("function '{}.{}'", printable(f.domain()), printable(f.name()));
}

}  // namespace

FunctionLibrary::Key FunctionLibrary::key_of(std::string domain, const std::string& name,
                                             const std::string& overload) {
  if (domain == "ai.onnx") domain.clear();
  return {std::move(domain), name, overload};
}

Result<FunctionLibrary> FunctionLibrary::make(const proto::ModelProto& model) {
  FunctionLibrary library;
  std::map<std::string, std::int64_t> opsets;
  for (const auto& o : model.opset_import())
    opsets[o.domain() == "ai.onnx" ? "" : o.domain()] = o.version();
  for (const auto& f : model.functions()) {
    if (!library.functions_.emplace(key_of(f.domain(), f.name(), f.overload()), &f).second)
      return fail(ErrorCode::kInvalidModel, fmt::format("{} is defined twice", who(f)));
    for (const auto& o : f.opset_import()) {
      const auto it = opsets.find(o.domain() == "ai.onnx" ? "" : o.domain());
      if (it != opsets.end() && it->second != o.version())
        return fail(ErrorCode::kUnsupported,
                    fmt::format("{} is written for version {} of operator set '{}' and the model "
                                "for version {}; convert them to one version",
                                who(f), o.version(),
                                it->first.empty() ? "ai.onnx" : printable(it->first), it->second));
    }
  }
  return library;
}

Status FunctionLibrary::add(proto::NodeProto& node, int depth, std::deque<proto::NodeProto>& owned,
                            std::vector<proto::NodeProto*>& out) {
  const auto it = functions_.empty()
                      ? functions_.end()
                      : functions_.find(key_of(node.domain(), node.op_type(), node.overload()));
  if (it == functions_.end()) {
    out.push_back(&node);
    return {};
  }
  const proto::FunctionProto& f = *it->second;
  if (depth >= kMaxDepth)
    return fail(
        ErrorCode::kInvalidModel,
        fmt::format("{} calls itself, or calls are nested deeper than {}", who(f), kMaxDepth));
  if (node.input_size() > f.input_size() || node.output_size() > f.output_size())
    return fail(
        ErrorCode::kInvalidModel,
        fmt::format("a call of {} has {} inputs and {} outputs; the function has {} and {}", who(f),
                    node.input_size(), node.output_size(), f.input_size(), f.output_size()));
  const std::string caller = node.name().empty() ? f.name() : node.name();
  Call call{node, f, fmt::format("{}/{}/", caller, calls_++), {}};
  for (int i = 0; i < f.input_size(); ++i)
    call.names.emplace(f.input(i), i < node.input_size() ? node.input(i) : std::string());
  std::vector<std::pair<std::string, std::string>> passed;  // Inputs that are outputs as well.
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    const auto [at, fresh] = call.names.emplace(f.output(i), node.output(i));
    if (!fresh) passed.emplace_back(at->second, node.output(i));
  }
  nodes_left_ -= f.node_size() + static_cast<std::int64_t>(passed.size());
  const auto too_large = [&] {
    return fail(ErrorCode::kUnsupported,
                fmt::format("the functions, each call written out, make more than 2^18 nodes or "
                            "256 MB; {} is where that limit is passed",
                            who(f)));
  };
  if (nodes_left_ < 0) return too_large();
  for (const auto& inner : f.node()) {
    proto::NodeProto& copy = owned.emplace_back(inner);
    translate(copy, call);
    bytes_left_ -= static_cast<std::int64_t>(copy.ByteSizeLong());
    if (bytes_left_ < 0) return too_large();
    INTACT_TRY(add(copy, depth + 1, owned, out));
  }
  for (const auto& [from, to] : passed) {
    proto::NodeProto& identity = owned.emplace_back();
    identity.set_op_type("Identity");
    identity.add_input(from);
    identity.add_output(to);
    out.push_back(&identity);
  }
  return {};
}

Status FunctionLibrary::expand(google::protobuf::RepeatedPtrField<proto::NodeProto>& nodes,
                               std::deque<proto::NodeProto>& owned,
                               std::vector<proto::NodeProto*>& out) {
  out.reserve(static_cast<std::size_t>(nodes.size()));
  for (auto& node : nodes) INTACT_TRY(add(node, 0, owned, out));
  return {};
}

}  // namespace intact
