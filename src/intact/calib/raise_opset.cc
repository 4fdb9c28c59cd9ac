#include "calib/raise_opset.h"

#include <fmt/format.h>

#include <limits>

#include "passes/shape_analysis.h"

namespace intact {
namespace {

constexpr std::int64_t kWanted = 13;

void ints_to_input(Graph& g, std::size_t n, const std::string& attribute, std::size_t input) {
  if (!g.nodes[n].has(attribute)) return;
  const std::vector<std::int64_t> list = g.nodes[n].get_ints(attribute);
  const ValueId id =
      g.add_constant(fmt::format("{}_{}", g.value(g.nodes[n].out(0)).name, attribute),
                     Tensor::of<std::int64_t>({static_cast<std::int64_t>(list.size())},
                                              std::span<const std::int64_t>(list)));
  Node& node = g.nodes[n];
  node.attributes.erase(attribute);
  if (node.inputs.size() <= input) node.inputs.resize(input + 1, kNoValue);
  node.inputs[input] = id;
}

void float_to_input(Graph& g, std::size_t n, const std::string& attribute, std::size_t input) {
  if (!g.nodes[n].has(attribute)) return;
  const ValueId id =
      g.add_constant(fmt::format("{}_{}", g.value(g.nodes[n].out(0)).name, attribute),
                     Tensor::scalar<float>(g.nodes[n].get_float(attribute, 0.0f)));
  Node& node = g.nodes[n];
  node.attributes.erase(attribute);
  if (node.inputs.size() <= input) node.inputs.resize(input + 1, kNoValue);
  node.inputs[input] = id;
}

Status raise_node(Graph& g, std::size_t n, std::int64_t from, const ShapeAnalysis& shapes) {
  const std::string op = g.nodes[n].op;
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("node '{}' ({}, opset {}): {}; convert the model to opset 13 first",
                            g.nodes[n].name, op, from, why));
  };
  if (op == "Squeeze" || op == "Unsqueeze" || op == "ReduceSum") ints_to_input(g, n, "axes", 1);
  if (op == "Split") ints_to_input(g, n, "split", 1);
  if (op == "Softmax" || op == "LogSoftmax" || op == "Hardmax") {
    // Before 13 the axes from `axis` on were one; the same when it is the last.
    const std::int64_t axis = g.nodes[n].get_int("axis", 1);
    const int rank = shapes.rank(g.nodes[n].in(0));
    if (axis != -1 && axis != rank - 1) {
      const auto& dims = shapes.shape(g.nodes[n].in(0));
      bool ones = dims.has_value() && axis >= 0;
      for (int d = static_cast<int>(axis) + 1; ones && d < rank; ++d)
        ones = (*dims)[static_cast<std::size_t>(d)].size == 1;
      if (!ones) return refuse("it spans several axes");
    }
    g.nodes[n].attributes["axis"] = axis;
  }
  if (from < 11) {
    if (op == "Clip") {
      float_to_input(g, n, "min", 1);
      float_to_input(g, n, "max", 2);
    }
    if (op == "Pad") {
      ints_to_input(g, n, "pads", 1);
      float_to_input(g, n, "value", 2);
    }
    if (op == "Resize") return refuse("its coordinates were not defined");
  }
  if (from < 10) {
    if (op == "Slice") {
      ints_to_input(g, n, "starts", 1);
      ints_to_input(g, n, "ends", 2);
      ints_to_input(g, n, "axes", 3);
    }
    if (op == "Upsample") return refuse("the operator ended with opset 9");
    if (op == "TopK") return refuse("k was an attribute");
  }
  if (from < 12 && op == "Dropout") g.nodes[n].attributes.erase("ratio");
  if (from < 9 && op == "BatchNormalization") g.nodes[n].attributes.erase("spatial");
  if (from < 7 && g.nodes[n].has("broadcast")) return refuse("it broadcasts by attribute");
  return {};
}

}  // namespace

Status raise_opset(Graph& graph) {
  const std::int64_t from = graph.opset();
  if (from >= kWanted) return {};
  const ShapeAnalysis shapes(graph);
  const std::size_t count = graph.nodes.size();
  for (std::size_t n = 0; n < count; ++n) {
    if (!graph.nodes[n].domain.empty() && graph.nodes[n].domain != "ai.onnx") continue;
    INTACT_TRY(raise_node(graph, n, from, shapes));
  }
  graph.opsets[""] = kWanted;
  return {};
}

}  // namespace intact
