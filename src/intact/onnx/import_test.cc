#include "onnx/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/half.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "onnx/test_models.h"

namespace intact {
namespace {

using test::add_attribute;
using test::add_initializer;
using test::add_node;
using test::add_value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using A = proto::AttributeProto;
using T = proto::TensorProto;

Graph imported(const proto::ModelProto& m, const ImportOptions& options = {}) {
  auto g = test::import_model(m, options);
  EXPECT_TRUE(g) << g.error().text();
  if (!g) return {};
  EXPECT_TRUE(verify(*g)) << verify(*g).error().text();
  return *std::move(g);
}

TEST(Import, TakesEverythingThatAModelSays) {
  auto m = test::relu_model();
  m.set_producer_name("p");
  m.set_producer_version("1");
  m.set_domain("d");
  m.set_model_version(5);
  m.set_doc_string("model doc");
  m.mutable_graph()->set_doc_string("graph doc");
  m.mutable_graph()->mutable_node(0)->set_doc_string("node doc");
  m.mutable_graph()->mutable_input(0)->set_doc_string("value doc");
  auto& entry = *m.add_metadata_props();
  entry.set_key("k");
  entry.set_value("v");
  EXPECT_EQ(print_graph(imported(m)), R"(graph "g" {
  opset 17
  producer "p"
  producer_version "1"
  domain "d"
  model_version 5
  model_doc "model doc"
  doc "graph doc"
  metadata "k" = "v"
  input %x: float32[2] doc "value doc"
  %y: float32[2] = Relu(%x) @r doc "node doc"
  output %y
}
)");
}

TEST(Import, ReadsEveryTypeFromTypedFields) {
  auto m = test::relu_model();
  auto& g = *m.mutable_graph();
  add_initializer(g, "f32", {2}, T::FLOAT).mutable_float_data()->Resize(2, 0.5F);
  add_initializer(g, "f64", {1}, T::DOUBLE).add_double_data(1e300);
  add_initializer(g, "i64", {1}, T::INT64).add_int64_data(-(std::int64_t{1} << 60));
  add_initializer(g, "u64", {1}, T::UINT64).add_uint64_data(~std::uint64_t{0});
  add_initializer(g, "u32", {1}, T::UINT32).add_uint64_data(0xFFFFFFFFU);
  add_initializer(g, "i32", {1}, T::INT32).add_int32_data(-7);
  add_initializer(g, "i16", {1}, T::INT16).add_int32_data(-32768);
  add_initializer(g, "u16", {1}, T::UINT16).add_int32_data(65535);
  add_initializer(g, "i8", {1}, T::INT8).add_int32_data(-128);
  add_initializer(g, "u8", {1}, T::UINT8).add_int32_data(255);
  add_initializer(g, "b", {1}, T::BOOL).add_int32_data(1);
  add_initializer(g, "f16", {1}, T::FLOAT16).add_int32_data(half_from_float(1.5F));
  add_initializer(g, "bf16", {1}, T::BFLOAT16).add_int32_data(bfloat16_from_float(-2.0F));
  auto& i4 = add_initializer(g, "i4", {3}, T::INT4);
  i4.add_int32_data(0x7F);  // -1, 7
  i4.add_int32_data(0xF8);  // -8, and a half byte that is not used
  add_initializer(g, "u4", {2}, T::UINT4).add_int32_data(0xF0);
  add_initializer(g, "none", {0, 3}, T::FLOAT);
  const Graph graph = imported(m);
  const auto numbers = [&](const char* name) {
    const auto id = graph.find_value(name);
    return id ? to_float64(*graph.constant(*id)) : std::vector<double>{};
  };
  EXPECT_THAT(numbers("f32"), ElementsAre(0.5, 0.5));
  EXPECT_THAT(numbers("f64"), ElementsAre(1e300));
  EXPECT_THAT(numbers("i64"), ElementsAre(-0x1p60));
  EXPECT_EQ(graph.constant(*graph.find_value("u64"))->values<std::uint64_t>()[0],
            ~std::uint64_t{0});
  EXPECT_THAT(numbers("u32"), ElementsAre(4294967295.0));
  EXPECT_THAT(numbers("i32"), ElementsAre(-7));
  EXPECT_THAT(numbers("i16"), ElementsAre(-32768));
  EXPECT_THAT(numbers("u16"), ElementsAre(65535));
  EXPECT_THAT(numbers("i8"), ElementsAre(-128));
  EXPECT_THAT(numbers("u8"), ElementsAre(255));
  EXPECT_THAT(numbers("b"), ElementsAre(1));
  EXPECT_THAT(numbers("f16"), ElementsAre(1.5));
  EXPECT_THAT(numbers("bf16"), ElementsAre(-2));
  EXPECT_THAT(numbers("i4"), ElementsAre(-1, 7, -8));
  EXPECT_EQ(graph.constant(*graph.find_value("i4"))->raw()[1], std::byte{0x08});
  EXPECT_THAT(numbers("u4"), ElementsAre(0, 15));
  EXPECT_EQ(graph.constant(*graph.find_value("none"))->shape(), (Shape{0, 3}));
}

TEST(Import, ReadsRawData) {
  auto m = test::relu_model();
  auto& g = *m.mutable_graph();
  const float values[] = {1, -2};
  add_initializer(g, "w", {2}).set_raw_data(values, sizeof(values));
  add_initializer(g, "b", {3}, T::BOOL).set_raw_data(std::string("\0\1\7", 3));
  std::string large(8192, '\1');
  add_initializer(g, "large", {8192}, T::UINT8).set_raw_data(large);
  const Graph graph = imported(m);
  EXPECT_THAT(to_float64(*graph.constant(*graph.find_value("w"))), ElementsAre(1, -2));
  EXPECT_THAT(to_float64(*graph.constant(*graph.find_value("b"))), ElementsAre(0, 1, 1));
  EXPECT_EQ(std::memcmp(graph.constant(*graph.find_value("large"))->raw(), large.data(), 8192), 0);
}

TEST(Import, ConstantNodesOfEveryFormBecomeConstants) {
  auto m = test::relu_model();
  auto& g = *m.mutable_graph();
  const auto constant = [&](const char* out, const char* key, A::AttributeType type) -> A& {
    return add_attribute(add_node(g, "Constant", {}, {out}), key, type);
  };
  auto& t = *constant("a", "value", A::TENSOR).mutable_t();
  t.set_data_type(T::INT64);
  t.add_dims(1);
  t.add_int64_data(9);
  constant("b", "value_float", A::FLOAT).set_f(0.5F);
  constant("c", "value_int", A::INT).set_i(3);
  constant("d", "value_floats", A::FLOATS).add_floats(1.5F);
  auto& ints = constant("e", "value_ints", A::INTS);
  ints.add_ints(4);
  ints.add_ints(5);
  constant("f", "value_floats", A::FLOATS);
  EXPECT_EQ(print_graph(imported(m)), R"(graph "g" {
  opset 17
  input %x: float32[2]
  const %a: int64[1] = [9]
  const %b: float32[] = 0.5
  const %c: int64[] = 3
  const %d: float32[1] = [1.5]
  const %e: int64[2] = [4, 5]
  const %f: float32[0] = []
  %y: float32[2] = Relu(%x) @r
  output %y
}
)");
}

TEST(Import, TakesShapesTypesAndAttributes) {
  auto m = test::empty_model();
  auto& g = *m.mutable_graph();
  auto& x = add_value(*g.mutable_input(), "x", {1});
  auto& dims = *x.mutable_type()->mutable_tensor_type()->mutable_shape();
  dims.add_dim()->set_dim_param("past + 1");
  dims.add_dim();
  dims.add_dim()->set_dim_value(-1);
  add_value(*g.mutable_output(), "z", {});
  add_value(*g.mutable_value_info(), "y", {3}, T::INT8);
  auto& n = add_node(g, "Conv", {"x", ""}, {"y", "", "u"}, "c");
  n.set_domain("ai.onnx");
  add_attribute(n, "group", A::INT).set_i(-1);
  add_attribute(n, "strides", A::INTS).mutable_ints()->Resize(2, 3);
  add_attribute(n, "epsilon", A::FLOAT).set_f(0.25F);
  add_attribute(n, "mode", A::STRING).set_s(std::string("a\0b", 3));
  add_attribute(n, "scales", A::FLOATS);
  add_attribute(n, "activations", A::STRINGS).add_strings("s");
  add_attribute(n, "old", A::UNDEFINED).add_ints(5);
  auto& t = *add_attribute(n, "value", A::TENSOR).mutable_t();
  t.set_data_type(T::FLOAT);
  t.add_float_data(1);
  add_node(g, "Relu", {"u"}, {"z"});
  EXPECT_EQ(print_graph(imported(m)), R"(graph "g" {
  opset 17
  input %x: float32[1,"past + 1",?,?]
  %y: int8[3], _, %u = Conv(%x, _) {activations=["s"], epsilon=0.25, group=-1, mode="a\x00b", old=[5], scales=floats[], strides=[3, 3], value=tensor<float32[]> 1} @c
  %z: float32[] = Relu(%u)
  output %z
}
)");
}

TEST(Import, InputsWithInitializersBecomeConstants) {
  auto m = test::relu_model();
  add_value(*m.mutable_graph()->mutable_input(), "w", {1});
  add_initializer(*m.mutable_graph(), "w", {1}).add_float_data(1);
  const Graph g = imported(m);
  EXPECT_EQ(g.inputs.size(), 1U);
  EXPECT_NE(g.constant(*g.find_value("w")), nullptr);
}

TEST(Import, SortsNodesThatAreOutOfOrder) {
  auto m = test::empty_model();
  auto& g = *m.mutable_graph();
  add_value(*g.mutable_input(), "x", {1});
  add_node(g, "Relu", {"b"}, {"c"}, "second");
  add_node(g, "Relu", {"x"}, {"b"}, "first");
  add_value(*g.mutable_output(), "c", {1});
  const Graph graph = imported(m);
  EXPECT_EQ(graph.nodes[0].name, "first");
  EXPECT_EQ(graph.nodes[1].name, "second");
}

// if c: y = -(inner if: x + w) else: y = x, with x and w read from the outermost graph.
proto::ModelProto nested_if_model() {
  auto m = test::empty_model();
  auto& g = *m.mutable_graph();
  add_value(*g.mutable_input(), "c", {}, T::BOOL);
  add_value(*g.mutable_input(), "x", {2});
  add_initializer(g, "w", {2}).mutable_float_data()->Resize(2, 1.0F);
  add_value(*g.mutable_output(), "y", {2});
  auto& outer = add_node(g, "If", {"c"}, {"y"}, "if");
  auto& then_branch = *add_attribute(outer, "then_branch", A::GRAPH).mutable_g();
  then_branch.set_name("then");
  auto& inner = add_node(then_branch, "If", {"c"}, {"s"}, "inner");
  auto& deep = *add_attribute(inner, "then_branch", A::GRAPH).mutable_g();
  deep.set_name("deep");
  add_node(deep, "Add", {"x", "w"}, {"sum"});
  add_value(*deep.mutable_output(), "sum", {2});
  auto& other = *add_attribute(inner, "else_branch", A::GRAPH).mutable_g();
  other.set_name("other");
  add_node(other, "Identity", {"x"}, {"same"});
  add_value(*other.mutable_output(), "same", {2});
  add_node(then_branch, "Neg", {"s"}, {"t"});
  add_value(*then_branch.mutable_output(), "t", {2});
  auto& else_branch = *add_attribute(outer, "else_branch", A::GRAPH).mutable_g();
  else_branch.set_name("else");
  add_node(else_branch, "Identity", {"x"}, {"e"});
  add_value(*else_branch.mutable_output(), "e", {2});
  return m;
}

TEST(Import, BodiesAreClosedOverWhatTheyRead) {
  EXPECT_EQ(print_graph(imported(nested_if_model())), R"(graph "g" {
  opset 17
  input %c: bool[]
  input %x: float32[2]
  const %w: float32[2] = [1, 1]
  %y: float32[2] = If(%c | %c, %x, %w) {else_branch=graph "else" {
      input %c
      input %x: float32[2]
      input %w
      %e: float32[2] = Identity(%x)
      output %e
    }, then_branch=graph "then" {
      input %c: bool[]
      input %x: float32[2]
      input %w: float32[2]
      %s = If(%c | %x, %w) {else_branch=graph "other" {
          input %x: float32[2]
          input %w
          %same: float32[2] = Identity(%x)
          output %same
        }, then_branch=graph "deep" {
          input %x: float32[2]
          input %w: float32[2]
          %sum: float32[2] = Add(%x, %w)
          output %sum
        }} @inner
      %t: float32[2] = Neg(%s)
      output %t
    }} @if
  output %y
}
)");
}

TEST(Import, FunctionsAreInlined) {
  auto m = test::empty_model();
  auto& own = *m.add_opset_import();
  own.set_domain("own");
  own.set_version(1);
  auto& f = *m.add_functions();
  f.set_domain("own");
  f.set_name("Scaled");
  f.add_input("a");
  f.add_input("b");
  f.add_output("out");
  f.add_output("first");
  f.add_attribute("slope");
  auto& preset = *f.add_attribute_proto();
  preset.set_name("axis");
  preset.set_type(A::INT);
  preset.set_i(7);
  auto& leaky = *f.add_node();
  leaky.set_op_type("LeakyRelu");
  leaky.set_name("leaky");
  leaky.add_input("a");
  leaky.add_output("t");
  auto& alpha = add_attribute(leaky, "alpha", A::FLOAT);
  alpha.set_ref_attr_name("slope");
  add_attribute(leaky, "axis", A::INT).set_ref_attr_name("axis");
  add_attribute(leaky, "beta", A::FLOAT).set_ref_attr_name("not_given");
  auto& sum = *f.add_node();
  sum.set_op_type("Clip");
  sum.add_input("t");
  sum.add_input("b");
  sum.add_output("out");
  auto& twice = *m.add_functions();  // A function that calls another and passes an input on.
  twice.set_domain("own");
  twice.set_name("Twice");
  twice.add_input("i");
  twice.add_output("o");
  twice.add_output("i");
  for (const auto& [from, to] : {std::pair("i", "m"), std::pair("m", "o")}) {
    auto& call = *twice.add_node();
    call.set_op_type("Scaled");
    call.set_domain("own");
    call.set_name(to);
    call.add_input(from);
    call.add_output(to);
    add_attribute(call, "slope", A::FLOAT).set_f(0.5F);
  }
  auto& g = *m.mutable_graph();
  add_value(*g.mutable_input(), "x", {2});
  add_value(*g.mutable_output(), "y", {2});
  auto& call = add_node(g, "Twice", {"x"}, {"y", "z"}, "c");
  call.set_domain("own");
  EXPECT_EQ(print_graph(imported(m)), R"(graph "g" {
  opset 17
  opset own 1
  input %x: float32[2]
  %c/0/m/1/t = LeakyRelu(%x) {alpha=0.5, axis=7} @c/0/m/1/leaky
  %c/0/m = Clip(%c/0/m/1/t, _)
  %c/0/o/2/t = LeakyRelu(%c/0/m) {alpha=0.5, axis=7} @c/0/o/2/leaky
  %y: float32[2] = Clip(%c/0/o/2/t, _)
  %z = Identity(%x)
  output %y
}
)");
}

TEST(Import, MapsExternalData) {
  const test::TemporaryFolder folder;
  std::string bytes(20000, '\0');
  const float values[] = {3, 4};
  std::memcpy(bytes.data() + 6, values, sizeof(values));     // Misaligned: copied.
  std::memcpy(bytes.data() + 4096, values, sizeof(values));  // The first of 2048.
  folder.write("weights.bin", bytes);
  auto m = test::relu_model();
  const auto external = [&](const char* name, std::int64_t n, const char* offset, bool length) {
    auto& t = add_initializer(*m.mutable_graph(), name, {n});
    t.set_data_location(T::EXTERNAL);
    const auto entry = [&](const std::string& key, const std::string& value) {
      auto& e = *t.add_external_data();
      e.set_key(key);
      e.set_value(value);
    };
    entry("location", "weights.bin");
    entry("offset", offset);
    if (length) entry("length", std::to_string(n * 4));
  };
  external("small", 2, "6", true);
  external("large", 2048, "4096", false);
  folder.write("m.onnx", m.SerializeAsString());
  auto g = import_onnx_file(folder.file("m.onnx"));
  ASSERT_TRUE(g) << g.error().text();
  EXPECT_THAT(to_float64(*g->constant(*g->find_value("small"))), ElementsAre(3, 4));
  const Tensor& large = *g->constant(*g->find_value("large"));
  EXPECT_EQ(large.values<float>()[1], 4.0F);
  large.buffer()->drop_pages();  // They are read again.
  EXPECT_EQ(large.values<float>()[1], 4.0F);
}

TEST(Import, KeepsWhatItDoesNotKnowForExport) {
  auto m = test::relu_model();
  const std::string training("\xa2\x01\x03\x0a\x01\x41", 6);  // training_info = 20.
  auto g = import_onnx(test::bytes_of(m.SerializeAsString() + training));
  ASSERT_TRUE(g);
  EXPECT_EQ(g->model.opaque, training);
}

}  // namespace
}  // namespace intact
