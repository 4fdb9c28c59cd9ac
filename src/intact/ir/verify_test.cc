#include "ir/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "ir/parse.h"

namespace intact {
namespace {

using ::testing::HasSubstr;

Graph small_graph() {
  auto g = parse_graph(R"(graph g {
    opset 17
    input %x: float32[N,4,8,8]
    const %w: float32[4,4,1,1] = iota
    %q: uint8[N,4,8,8] channels_last quant(scale=[0.5], zero_point=[128]) = intact.Q(%x) @quantize
    %y: float32[N,4,8,8] = Conv(%q, %w) @conv
    %z = If(%c | %y) {then_branch=graph t { input %a output %a }} @if
    input %c: bool[]
    output %z
  })");
  EXPECT_TRUE(g) << g.error().text();
  return *std::move(g);
}

TEST(Verify, AcceptsAGoodGraphAndDeletedNodes) {
  Graph g = small_graph();
  EXPECT_TRUE(verify(g)) << verify(g).error().text();
  Node gone;
  gone.inputs = {99};
  g.nodes.push_back(gone);
  EXPECT_TRUE(verify(g));
  EXPECT_TRUE(verify(Graph{}));
}

struct Damage {
  const char* name;
  std::function<void(Graph&)> damage;
  const char* message;
};
void PrintTo(const Damage& d, std::ostream* os) { *os << d.name; }

Value& named(Graph& g, const char* name) { return g.value(*g.find_value(name)); }

class VerifyDamage : public ::testing::TestWithParam<Damage> {};

TEST_P(VerifyDamage, IsFound) {
  Graph g = small_graph();
  GetParam().damage(g);
  const Status ok = verify(g);
  ASSERT_FALSE(ok);
  EXPECT_THAT(ok.error().text(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, VerifyDamage,
    ::testing::Values(
        Damage{"input id", [](Graph& g) { g.inputs.push_back(99); }, "value id 99 is outside"},
        Damage{"negative id", [](Graph& g) { g.outputs.push_back(kNoValue); }, "value id -1"},
        Damage{"node id", [](Graph& g) { g.nodes[1].inputs[0] = 77; },
               "node 'conv': value id 77 is outside"},
        Damage{"input twice", [](Graph& g) { g.inputs.push_back(g.inputs[0]); },
               "value 'x' is defined again as a graph input"},
        Damage{"output twice", [](Graph& g) { g.nodes[1].outputs.push_back(g.nodes[1].out(0)); },
               "value 'y' is defined again as an output of this node"},
        Damage{"constant input", [](Graph& g) { g.inputs.push_back(*g.find_value("w")); },
               "value 'w' is defined again as a constant"},
        Damage{"order", [](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); },
               "node 'conv': value 'q' is read before"},
        Damage{"undefined output", [](Graph& g) { g.outputs.push_back(g.add_value("loose")); },
               "value 'loose' is read before"},
        Damage{"same name", [](Graph& g) { named(g, "y").name = "x"; }, "two values are named 'x'"},
        Damage{"no name", [](Graph& g) { named(g, "y").name = ""; }, "no name"},
        Damage{"constant type", [](Graph& g) { named(g, "w").type.dtype = Dtype::kInt8; },
               "constant 'w' holds float32[4,4,1,1]"},
        Damage{"constant shape", [](Graph& g) { named(g, "w").type.shape->pop_back(); },
               "constant 'w' holds float32[4,4,1,1]"},
        Damage{"constant layout",
               [](Graph& g) { named(g, "w").type.layout = Layout::kChannelsLast; },
               "not in plain layout"},
        Damage{"no tensor", [](Graph& g) { named(g, "w").constant = Tensor(); }, "no tensor"},
        Damage{"layout rank", [](Graph& g) { named(g, "q").type.shape->resize(2); },
               "channels-last without a rank"},
        Damage{"layout unknown rank", [](Graph& g) { named(g, "q").type.shape.reset(); },
               "channels-last without a rank"},
        Damage{"dim", [](Graph& g) { (*named(g, "x").type.shape)[1].size = -4; },
               "value 'x' has a size of -4"},
        Damage{"quant type", [](Graph& g) { named(g, "q").type.dtype = Dtype::kFloat32; },
               "not an integer"},
        Damage{"quant axis", [](Graph& g) { named(g, "q").quant->axis = 1; },
               "1 scales on axis 1 of size 4"},
        Damage{"quant rank", [](Graph& g) { named(g, "q").quant->axis = 4; }, "but rank 4"},
        Damage{"quant no axis",
               [](Graph& g) {
                 named(g, "q").quant = Quant{{1, 1}, {0, 0}, -1};
               },
               "no axis"},
        Damage{"quant lengths", [](Graph& g) { named(g, "q").quant->scale.push_back(1); },
               "2 scales and 1 zero points"},
        Damage{"quant none", [](Graph& g) { named(g, "q").quant = Quant{}; }, "0 scales"},
        Damage{"scale", [](Graph& g) { named(g, "q").quant->scale[0] = 0; }, "the scale 0"},
        Damage{"scale nan",
               [](Graph& g) {
                 named(g, "q").quant->scale[0] = std::numeric_limits<float>::quiet_NaN();
               },
               "the scale nan"},
        Damage{"zero point", [](Graph& g) { named(g, "q").quant->zero_point[0] = 256; },
               "zero point 256, not a code of uint8"},
        Damage{"integer node", [](Graph& g) { g.nodes[0].op = "QAveragePool"; },
               "input 0 of QAveragePool has no map of its codes"},
        Damage{"captured count", [](Graph& g) { g.nodes[2].num_captured = 3; },
               "3 captured values of 2 inputs"},
        Damage{"captured omitted", [](Graph& g) { g.nodes[2].inputs[1] = kNoValue; },
               "a captured value is omitted"},
        Damage{"captured without body", [](Graph& g) { g.nodes[2].attributes.clear(); },
               "without a body"},
        Damage{"null body",
               [](Graph& g) { g.nodes[2].attributes["then_branch"] = std::shared_ptr<Graph>(); },
               "attribute 'then_branch' has no graph"},
        Damage{"body inputs",
               [](Graph& g) {
                 auto body = std::make_shared<Graph>();
                 g.nodes[2].attributes["then_branch"] = body;
               },
               "takes 0 inputs, fewer than the 1 captured"},
        Damage{"body",
               [](Graph& g) {
                 std::get<std::shared_ptr<Graph>>(g.nodes[2].attributes["then_branch"])
                     ->outputs.push_back(9);
               },
               "node 'if': body 'then_branch': value id 9"},
        Damage{"attribute tensor", [](Graph& g) { g.nodes[0].attributes["t"] = Tensor(); },
               "attribute 't' has no tensor"}));

}  // namespace
}  // namespace intact
