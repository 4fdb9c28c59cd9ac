// import_graph.h: one GraphProto, with the bodies inside of it, to a graph.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "intact/result.h"
#include "ir/graph.h"
#include "onnx/external_data.h"
#include "onnx/inline_functions.h"
#include "onnx/onnx.pb.h"

namespace intact {

// What all graphs of a model share.
struct ImportContext {
  FunctionLibrary functions;
  ExternalData external;
  std::map<std::string, std::int64_t> opsets;
};

// The outer values that the bodies of one node read, in order of first use.
struct Captures {
  std::vector<std::string> names;
  std::vector<ValueId> outer;  // In the graph around the body.
};

class GraphImporter {
 public:
  // A model's graph; or, with `outer`, a body of one of its nodes, whose reads from outside are
  // added to `captures`.
  explicit GraphImporter(ImportContext& context, GraphImporter* outer = nullptr,
                         Captures* captures = nullptr)
      : context_(context),
        outer_(outer),
        captures_(captures),
        depth_(outer == nullptr ? 0 : outer->depth_ + 1) {}

  // Consumes the message. The graph's opsets and the model's own fields are left to the caller.
  Result<Graph> run(proto::GraphProto& g);

  // After run: appends the captured values to the inputs of a body, in the order of `captures`.
  void append_captured(const Captures& captures, Graph& body) const;

 private:
  Status add_initializers(proto::GraphProto& g);
  Status add_inputs(proto::GraphProto& g);
  Status declare(proto::NodeProto& p);
  Status add_constant_node(proto::NodeProto& p);
  Status add_types(proto::GraphProto& g);
  Status add_node(proto::NodeProto& p);
  Status add_attributes(proto::NodeProto& p, Node& node, Captures& captures);
  Result<Attribute> attribute(proto::AttributeProto& a, std::int32_t type);
  Status add_body(proto::AttributeProto& a, Node& node, Captures& captures);
  Status add_outputs(proto::GraphProto& g);
  Status define(const std::string& name, ValueType type);
  Status set_type(const proto::ValueInfoProto& info, bool strict);
  std::optional<ValueId> resolve(const std::string& name);

  ImportContext& context_;
  GraphImporter* outer_;
  Captures* captures_;
  int depth_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> captured_;  // Outer name -> value in this graph.
  // Bodies of the node at hand: each with its importer, until its captured inputs are appended.
  std::vector<std::pair<GraphImporter, std::shared_ptr<Graph>>> bodies_;
};

}  // namespace intact
