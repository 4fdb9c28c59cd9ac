#include "onnx/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ir/parse.h"
#include "ir/print.h"
#include "onnx/import.h"
#include "onnx/test_models.h"

namespace intact {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Graph parsed(std::string_view text) {
  auto g = parse_graph(text);
  EXPECT_TRUE(g) << g.error().text();
  return g ? *std::move(g) : Graph{};
}

// The text with every element.
std::string text_of(const Graph& g) {
  return print_graph(g, {.inline_elements = kPrintAllElements});
}

proto::ModelProto exported(const Graph& g) {
  const auto bytes = export_onnx(g);
  EXPECT_TRUE(bytes) << bytes.error().text();
  proto::ModelProto m;
  EXPECT_TRUE(bytes && m.ParseFromString(*bytes));
  return m;
}

// Everything that ONNX can say in our form.
constexpr std::string_view kModel = R"(graph "net" {
  opset 21
  opset own 3
  ir_version 10
  producer "p"
  producer_version "1"
  domain "d"
  model_version -2
  model_doc "m"
  doc "g"
  metadata "k" = "v"
  input %x: float32[N,3,?]
  input %c: bool[]
  input %free: int64[*]
  const %w: float32[2] = [0.5, -0] doc "unused"
  const %i4: int4[3] = [-8, 7, 1]
  const %u4: uint4[4] = [15, 0, 1, 2]
  const %h: float16[1] = [0.5]
  const %b: bfloat16[1] = [2]
  const %t: bool[2] = [true, false]
  const %e: float32[0,4] = []
  const %s: uint64[] = 18446744073709551615
  %y: float32[N,3,?] doc "value", _, %"odd \xff" = Op(%x, _, %w) {a=1, f=0.5, fs=[1.5], gs=floats[], is=[1, -2], s="x", ss=["a", "b"], value=tensor<int8[2]> [1, -1]} @n1 doc "node" metadata "mk" = "mv"
  %z: float32[N,3,?] = own.Op(%y) @n2
  output %y
  output %z
})";

TEST(Export, RoundTripsEverything) {
  std::string text(kModel);
  text.replace(text.find(" doc \"unused\""), 13, "");
  Graph g = parsed(text);
  const std::string want = text_of(g);
  auto bytes = export_onnx(g);
  ASSERT_TRUE(bytes) << bytes.error().text();
  auto back = import_onnx(test::bytes_of(*bytes));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(text_of(*back), want);
  EXPECT_EQ(*export_onnx(*back), *bytes);  // Equal graphs, equal bytes.
}

TEST(Export, KeepsOpaqueFields) {
  Graph g = parsed("graph g { opset 17 }");
  g.model.opaque = std::string("\xa2\x01\x03\x0a\x01\x41", 6);
  EXPECT_EQ(import_onnx(test::bytes_of(*export_onnx(g)))->model.opaque, g.model.opaque);
}

TEST(Export, IrVersionFollowsOpsetAndTypes) {
  const auto version = [](const char* body) {
    return exported(parsed(std::string("graph g { ir_version 3 ") + body + "}")).ir_version();
  };
  EXPECT_EQ(version("opset 8"), 4);
  EXPECT_EQ(version("opset 9"), 4);
  EXPECT_EQ(version("opset 11"), 6);
  EXPECT_EQ(version("opset 13"), 7);
  EXPECT_EQ(version("opset 17"), 8);
  EXPECT_EQ(version("opset 21"), 10);
  EXPECT_EQ(version("opset 17 const %w: int4[1] = [1]"), 10);
  EXPECT_EQ(version("opset 17 ir_version 9"), 9);
}

TEST(Export, UnnamedDomainsOfNodesGetAnImport) {
  const auto m = exported(parsed("graph g { opset 17 input %x: int8[] %y = own.Op(%x) }"));
  ASSERT_EQ(m.opset_import_size(), 2);
  EXPECT_EQ(m.opset_import(1).domain(), "own");
}

TEST(Export, BodiesReadOuterNamesAndHaveNamesOfTheirOwn) {
  Graph g = parsed(R"(graph g {
    opset 17
    input %c: bool[]
    input %x: float32[2]
    %r: float32[2] = Relu(%x)
    %y: float32[2] = If(%c | %r, %x) {
      then_branch=graph "t" {
        input %a: float32[2]
        input %b: float32[2]
        const %r: float32[1] = [2]
        %x: float32[2] = Mul(%a, %r)
        output %x },
      else_branch=graph "e" {
        input %a: float32[2]
        input %b: float32[2]
        output %b }}
    output %y
  })");
  const auto m = exported(g);
  const auto& branch = m.graph().node(1);
  EXPECT_EQ(branch.input_size(), 1);
  ASSERT_EQ(branch.attribute(1).name(), "then_branch");
  const auto& then_branch = branch.attribute(1).g();
  EXPECT_EQ(then_branch.input_size(), 0);
  EXPECT_EQ(then_branch.node(0).input(0), "r");
  EXPECT_EQ(then_branch.node(0).input(1), "r_0");
  EXPECT_EQ(then_branch.initializer(0).name(), "r_0");
  EXPECT_EQ(then_branch.output(0).name(), "x_0");
  const auto& else_branch = branch.attribute(0).g();  // A captured value as output: Identity.
  ASSERT_EQ(else_branch.node_size(), 1);
  EXPECT_EQ(else_branch.node(0).op_type(), "Identity");
  EXPECT_EQ(else_branch.node(0).input(0), "x");
  EXPECT_EQ(else_branch.node(0).output(0), else_branch.output(0).name());
  auto back = import_onnx(test::bytes_of(*export_onnx(g)));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->nodes[1].num_captured, 2);
}

TEST(Export, RefusesWhatOnnxCannotSay) {
  const auto error = [](const char* text) {
    const auto bytes = export_onnx(parsed(text));
    return bytes ? std::string("no error") : bytes.error().text();
  };
  EXPECT_THAT(error("graph g { input %x: int8[] %y = intact.Silu(%x) @q }"),
              HasSubstr("node 'q': operator intact.Silu"));
  EXPECT_THAT(error("graph g { input %x: int8[] quant(scale=[1], zero_point=[0]) }"),
              HasSubstr("'x' carries scales"));
  EXPECT_THAT(error("graph g { input %x: int8[1,2,3] channels_last }"),
              HasSubstr("'x' is channels-last"));
  Graph broken = parsed("graph g { input %x }");
  broken.outputs = {9};
  EXPECT_FALSE(export_onnx(broken));
}

TEST(Export, ExternalDataRoundTrips) {
  const test::TemporaryFolder folder;
  const Graph g = parsed(R"(graph g {
    opset 17
    input %x: float32[1000]
    const %small: float32[2] = [1, 2]
    const %a: float32[1000] = random(1)
    const %b: int8[5000] = random(2)
    %y: float32[1000] = Add(%x, %a)
    output %y
  })");
  const std::string path = folder.file("m.onnx");
  ASSERT_TRUE(export_onnx_file(g, path, {.external_data = true}));
  EXPECT_EQ(fs::file_size(path + ".data"), 4096 + 5000);
  EXPECT_LT(fs::file_size(path), 1000);
  auto back = import_onnx_file(path);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(text_of(*back), text_of(g));
  // Written over itself, while its data is mapped.
  ASSERT_TRUE(export_onnx_file(*back, path, {.external_data = true}));
  EXPECT_EQ(text_of(*import_onnx_file(path)), text_of(g));
}

TEST(Export, LeavesNothingBehindWhenItFails) {
  const test::TemporaryFolder folder;
  const Graph g = parsed("graph g { opset 17 input %x: int8[] %y = intact.Op(%x) output %y }");
  EXPECT_FALSE(export_onnx_file(g, folder.file("m.onnx")));
  EXPECT_TRUE(fs::is_empty(folder.path()));
  const Graph good = parsed("graph g { opset 17 input %x: int8[1] output %x }");
  const Status full = export_onnx_file(good, "/dev/full");
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().text(), HasSubstr("the disk is full"));
  EXPECT_FALSE(export_onnx_file(good, folder.file("no/folder/m.onnx")));
}

TEST(Zoo, EveryModelComesBackTheSame) {
  const char* chosen = std::getenv("INTACT_ZOO");
  const fs::path zoo = chosen != nullptr ? fs::path(chosen) : fs::path("../shared/zoo");
  if (!fs::exists(zoo / "models")) GTEST_SKIP() << "no models at " << zoo;
  int models = 0;
  for (const auto& entry : fs::directory_iterator(zoo / "models")) {
    if (entry.path().extension() != ".onnx") continue;
    auto g = import_onnx_file(entry.path().string());
    ASSERT_TRUE(g) << g.error().text();
    auto bytes = export_onnx(*g);
    ASSERT_TRUE(bytes) << entry.path() << bytes.error().text();
    auto back = import_onnx(test::bytes_of(*bytes));
    ASSERT_TRUE(back) << entry.path() << back.error().text();
    EXPECT_GE(back->ir_version, g->ir_version);  // Raised when too low for the opset.
    back->ir_version = g->ir_version;
    EXPECT_TRUE(print_graph(*back) == print_graph(*g)) << entry.path();
    ++models;
  }
  EXPECT_GT(models, 0);
}

}  // namespace
}  // namespace intact
