#include "ir/structure_hash.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "ir/parse.h"

namespace intact {
namespace {

Graph model() {
  auto graph = parse_graph(
      "graph \"g\" {\n  opset 17\n  opset intact 1\n  input %x: float32[N,64]\n"
      "  input %c: bool[]\n  const %w: float32[64,48] = random(1)\n  const %b: float32[2] = [1, "
      "2]\n"
      "  %q: uint8[N,48] quant(scale=[0.5], zero_point=[3]) = Some(%x, %w, %b) {axis=1, to=\"s\"}\n"
      "  %y = If(%c | %q) {else_branch=graph \"e\" {\n  opset 17\n  input %e: uint8[N,48]\n"
      "    %f = Relu(%e)\n  output %f\n}}\n  output %y\n}");
  EXPECT_TRUE(graph.has_value());
  return std::move(*graph);
}

Value& value(Graph& graph, std::string_view name) { return graph.value(*graph.find_value(name)); }

TEST(StructureHash, DependsOnEverythingButDocumentationAndLargeConstants) {
  using Change = std::function<void(Graph&)>;
  const auto hash_after = [](const Change& change) {
    Graph graph = model();
    change(graph);
    return hash_structure(graph, 4096);
  };
  const std::uint64_t first = hash_after([](Graph&) {});
  for (const Change& change : std::vector<Change>{
           [](Graph& g) { g.doc_string = "text"; },
           [](Graph& g) { g.metadata["key"] = "text"; },
           [](Graph& g) { g.nodes[0].name = "other"; },
           [](Graph& g) { value(g, "w").constant->mutable_values<float>()[5] += 1; },
       })
    EXPECT_EQ(hash_after(change), first);
  std::set<std::uint64_t> seen{first};
  for (const Change& change : std::vector<Change>{
           [](Graph& g) { g.opsets[""] = 18; },
           [](Graph& g) { g.nodes[0].op = "Other"; },
           [](Graph& g) { g.nodes[0].attributes["axis"] = std::int64_t{2}; },
           [](Graph& g) { g.nodes[0].attributes["axis"] = 1.0f; },
           [](Graph& g) { std::swap(g.nodes[0].inputs[1], g.nodes[0].inputs[2]); },
           [](Graph& g) { g.nodes[1].num_captured = 0; },
           [](Graph& g) {
             std::get<std::shared_ptr<Graph>>(g.nodes[1].attributes["else_branch"])->nodes[0].op =
                 "Abs";
           },
           [](Graph& g) { value(g, "x").type.shape->front() = Dim(3); },
           [](Graph& g) { value(g, "q").quant->zero_point[0] = 4; },
           [](Graph& g) { value(g, "b").constant->mutable_values<float>()[1] = 3; },
           [](Graph& g) {
             value(g, "w").constant = Tensor(Dtype::kFloat32, {48, 64});
           },
           [](Graph& g) { g.rename(*g.find_value("w"), "v"); },
       })
    EXPECT_TRUE(seen.insert(hash_after(change)).second) << seen.size();
  Graph graph = model();
  EXPECT_TRUE(seen.insert(hash_structure(graph, 4096, 1)).second);
}

}  // namespace
}  // namespace intact
