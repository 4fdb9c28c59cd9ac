// What a file can get wrong: each gets one sentence that names the place, and nothing crashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "onnx/import.h"
#include "onnx/test_models.h"

namespace intact {
namespace {

using test::add_attribute;
using test::add_initializer;
using test::add_node;
using test::add_value;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using A = proto::AttributeProto;
using T = proto::TensorProto;
using M = proto::ModelProto;
using G = proto::GraphProto;

struct Bad {
  const char* name;
  std::function<void(M&, G&)> damage;  // To x -> Relu "r" -> y.
  const char* message;
  ErrorCode code = ErrorCode::kInvalidModel;
};
void PrintTo(const Bad& b, std::ostream* os) { *os << b.name; }

proto::AttributeProto& attribute(G& g, const char* name, A::AttributeType type) {
  return add_attribute(*g.mutable_node(0), name, type);
}
proto::TensorShapeProto& input_shape(G& g) {
  return *g.mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
}
void external(G& g, const char* location, const char* offset = "0") {
  auto& t = add_initializer(g, "w", {1});
  t.set_data_location(T::EXTERNAL);
  for (const auto& [key, value] : {std::pair("location", location), std::pair("offset", offset)}) {
    auto& e = *t.add_external_data();
    e.set_key(key);
    e.set_value(value);
  }
}
void add_function(M& m, const char* name, const char* calls) {
  auto& f = *m.add_functions();
  f.set_domain("own");
  f.set_name(name);
  auto& n = *f.add_node();
  n.set_op_type(calls);
  n.set_domain("own");
  auto& second = *f.add_node();
  second = n;
}

class BadModel : public ::testing::TestWithParam<Bad> {};

TEST_P(BadModel, IsRefusedInOneSentence) {
  const test::TemporaryFolder folder;
  M m = test::relu_model();
  GetParam().damage(m, *m.mutable_graph());
  folder.write("m.onnx", m.SerializeAsString());
  folder.write("data.bin", "123");
  const auto g = import_onnx_file(folder.file("m.onnx"));
  ASSERT_FALSE(g);
  EXPECT_THAT(g.error().text(),
              AllOf(HasSubstr(GetParam().message), HasSubstr("m.onnx: "), Not(HasSubstr("\n"))));
  EXPECT_EQ(g.error().code, GetParam().code);
}

INSTANTIATE_TEST_SUITE_P(
    Graphs, BadModel,
    ::testing::Values(
        Bad{"no graph", [](M& m, G&) { m.clear_graph(); }, "not an ONNX model: it has no graph"},
        Bad{"no version", [](M& m, G&) { m.clear_ir_version(); }, "it has no IR version"},
        Bad{"opset 0", [](M& m, G&) { m.mutable_opset_import(0)->set_version(0); },
            "imports version 0 of operator set 'ai.onnx'"},
        Bad{"opset twice",
            [](M& m, G&) {
              auto& o = *m.add_opset_import();
              o.set_domain("ai.onnx");
              o.set_version(18);
            },
            "imports versions 17 and 18"},
        Bad{"no opset", [](M& m, G&) { m.clear_opset_import(); },
            "node 'r': its operator Relu is of domain 'ai.onnx', of which the model imports no"},
        Bad{"no domain", [](M&, G& g) { g.mutable_node(0)->set_domain("com.x"); },
            "node 'r': its operator Relu is of domain 'com.x'"},
        Bad{"missing input", [](M&, G& g) { g.mutable_node(0)->set_input(0, "q"); },
            "node 'r': it reads 'q', which no node, input or initializer gives"},
        Bad{"missing output", [](M&, G& g) { add_value(*g.mutable_output(), "q", {}); },
            "output 'q' is given by no node"},
        Bad{"name in bytes that are no text",
            [](M&, G& g) { g.mutable_node(0)->set_input(0, "q\xff\n"); }, "it reads 'q\\xff\\n'"},
        Bad{"node twice", [](M&, G& g) { add_node(g, "Abs", {"x"}, {"y"}, "again"); },
            "node 'again': 'y' is defined twice"},
        Bad{"input as output", [](M&, G& g) { add_node(g, "Abs", {"y"}, {"x"}, "a"); },
            "node 'a': 'x' is defined twice"},
        Bad{"input twice", [](M&, G& g) { add_value(*g.mutable_input(), "x", {}); },
            "'x' is defined twice"},
        Bad{"initializer twice",
            [](M&, G& g) {
              add_initializer(g, "w", {0});
              add_initializer(g, "w", {0});
            },
            "'w' is defined twice"},
        Bad{"nameless input", [](M&, G& g) { add_value(*g.mutable_input(), "", {}); },
            "empty name"},
        Bad{"no operator", [](M&, G& g) { g.mutable_node(0)->clear_op_type(); },
            "node 'r': it has no operator"},
        Bad{"cycle",
            [](M&, G& g) {
              add_node(g, "Abs", {"b"}, {"a"}, "one");
              add_node(g, "Abs", {"a"}, {"b"}, "two");
            },
            "node 'one' is on a cycle"},
        Bad{"own input", [](M&, G& g) { add_node(g, "Abs", {"a"}, {"a"}, "self"); },
            "node 'self' is on a cycle"},
        Bad{"sequence",
            [](M&, G& g) { g.mutable_input(0)->mutable_type()->mutable_sequence_type(); },
            "value 'x': it is a sequence", ErrorCode::kUnsupported},
        Bad{"float8 input",
            [](M&, G& g) {
              g.mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
                  T::FLOAT8E4M3FN);
            },
            "value 'x': tensors of type FLOAT8E4M3FN are not", ErrorCode::kUnsupported},
        Bad{"negative size", [](M&, G& g) { input_shape(g).add_dim()->set_dim_value(-2); },
            "value 'x': dimension 1 is -2; write a name"},
        Bad{"huge size",
            [](M&, G& g) {
              input_shape(g).add_dim()->set_dim_value(std::numeric_limits<std::int64_t>::max());
            },
            "more than 2^40 elements"},
        Bad{"overflowing size",
            [](M&, G& g) {
              for (int i = 0; i < 3; ++i) input_shape(g).add_dim()->set_dim_value(1LL << 32);
            },
            "more than 2^40 elements"},
        Bad{"rank",
            [](M&, G& g) {
              for (int i = 0; i < 40; ++i) input_shape(g).add_dim()->set_dim_value(1);
            },
            "value 'x': it has 41 dimensions; the limit is 16"}));

INSTANTIATE_TEST_SUITE_P(
    Tensors, BadModel,
    ::testing::Values(
        Bad{"negative", [](M&, G& g) { add_initializer(g, "w", {-3}); },
            "initializer 'w': shape [-3] has a negative dimension"},
        Bad{"huge", [](M&, G& g) { add_initializer(g, "w", {1LL << 62, 8}); },
            "initializer 'w': shape [4611686018427387904,8] has more than 2^40"},
        Bad{"no type", [](M&, G& g) { add_initializer(g, "w", {1}, T::UNDEFINED); },
            "initializer 'w': it has no element type"},
        Bad{"unknown type", [](M&, G& g) { add_initializer(g, "w", {1}).set_data_type(99); },
            "constants of type 99 (unknown)", ErrorCode::kUnsupported},
        Bad{"strings", [](M&, G& g) { add_initializer(g, "w", {1}, T::STRING); },
            "constants of type STRING", ErrorCode::kUnsupported},
        Bad{"short raw", [](M&, G& g) { add_initializer(g, "w", {2}).set_raw_data("1234"); },
            "initializer 'w': it has 4 bytes of data, but float32[2] needs 8"},
        Bad{"short values", [](M&, G& g) { add_initializer(g, "w", {2}).add_float_data(1); },
            "initializer 'w': it has 1 values, but float32[2] needs 2"},
        Bad{"no values", [](M&, G& g) { add_initializer(g, "w", {1LL << 39}); },
            "it has 0 values"},
        Bad{"other field", [](M&, G& g) { add_initializer(g, "w", {1}).add_int64_data(1); },
            "in fields other than float_data, where float32 belongs"},
        Bad{"two fields",
            [](M&, G& g) {
              auto& w = add_initializer(g, "w", {1});
              w.set_raw_data("1234");
              w.add_float_data(1);
            },
            "data in two fields"},
        Bad{"range", [](M&, G& g) { add_initializer(g, "w", {1}, T::INT8).add_int32_data(128); },
            "it holds 128, which is not a value of int8[1]"},
        Bad{"segment", [](M&, G& g) { add_initializer(g, "w", {1}).mutable_segment(); },
            "segments", ErrorCode::kUnsupported},
        Bad{"sparse", [](M&, G& g) { g.add_sparse_initializer()->mutable_values()->set_name("s"); },
            "initializer 's' is sparse", ErrorCode::kUnsupported},
        Bad{"missing file", [](M&, G& g) { external(g, "gone.bin"); },
            "initializer 'w': its data is in the file 'gone.bin' beside the model, which cannot be "
            "opened: No such file",
            ErrorCode::kIo},
        Bad{"file too short", [](M&, G& g) { external(g, "data.bin"); },
            "4 bytes from offset 0 of the file 'data.bin', which has only 3"},
        Bad{"offset overflows", [](M&, G& g) { external(g, "data.bin", "18446744073709551615"); },
            "which has only 3"},
        Bad{"offset is no number", [](M&, G& g) { external(g, "data.bin", "-1"); },
            "offset of its external data is '-1', not a number"},
        Bad{"absolute", [](M&, G& g) { external(g, "/etc/passwd"); },
            "'/etc/passwd', which is not a path below the model's folder"},
        Bad{"up", [](M&, G& g) { external(g, "../data.bin"); }, "not a path below"},
        Bad{"up and down", [](M&, G& g) { external(g, "a/../../data.bin"); }, "not a path below"},
        Bad{"no location", [](M&, G& g) { external(g, ""); }, "not a path below"},
        Bad{"folder", [](M&, G& g) { external(g, "."); }, "cannot be read", ErrorCode::kIo},
        Bad{"external and raw",
            [](M&, G& g) {
              external(g, "data.bin");
              g.mutable_initializer(0)->set_raw_data("1234");
            },
            "both in the model and in another file"}));

INSTANTIATE_TEST_SUITE_P(
    Attributes, BadModel,
    ::testing::Values(
        Bad{"ill-typed", [](M&, G& g) { attribute(g, "strides", A::FLOAT).set_f(1); },
            "node 'r': attribute 'strides': it is FLOAT, where ONNX asks for INTS"},
        Bad{"other value", [](M&, G& g) { attribute(g, "own", A::INT).set_f(1); },
            "node 'r': attribute 'own': it says that it is INT but holds FLOAT"},
        Bad{"unknown type", [](M&, G& g) { attribute(g, "own", A::INT).set_type(77); },
            "it is type 77, which is not supported", ErrorCode::kUnsupported},
        Bad{"nothing", [](M&, G& g) { attribute(g, "own", A::UNDEFINED); },
            "neither type nor value"},
        Bad{"twice",
            [](M&, G& g) {
              attribute(g, "own", A::INT);
              attribute(g, "own", A::INT);
            },
            "attribute 'own' is given twice"},
        Bad{"no name", [](M&, G& g) { attribute(g, "", A::INT); }, "an attribute has no name"},
        Bad{"no tensor", [](M&, G& g) { attribute(g, "own", A::TENSOR); }, "it has no tensor"},
        Bad{"tensor", [](M&, G& g) { attribute(g, "own", A::TENSOR).mutable_t()->add_dims(-1); },
            "attribute 'own': it has no element type"},
        Bad{"graphs", [](M&, G& g) { attribute(g, "own", A::GRAPHS).add_graphs(); },
            "it is GRAPHS, which is not supported", ErrorCode::kUnsupported},
        Bad{"reference", [](M&, G& g) { attribute(g, "own", A::INT).set_ref_attr_name("a"); },
            "refers to an attribute of a function"},
        Bad{"constant with two values",
            [](M&, G& g) {
              auto& n = add_node(g, "Constant", {}, {"c"});
              add_attribute(n, "value_int", A::INT).set_i(1);
              add_attribute(n, "value_float", A::FLOAT).set_f(1);
            },
            "the Constant node that gives 'c': a Constant has no inputs, one output and one"},
        Bad{"constant of strings",
            [](M&, G& g) {
              add_attribute(add_node(g, "Constant", {}, {"c"}), "value_strings", A::STRINGS);
            },
            "a Constant with 'value_strings' is not supported", ErrorCode::kUnsupported},
        Bad{"constant of nothing",
            [](M&, G& g) { add_attribute(add_node(g, "Constant", {}, {"c"}), "value", A::INT); },
            "attribute 'value' is not a value of a Constant"},
        Bad{"error in a body",
            [](M&, G& g) {
              auto& body = *attribute(g, "body", A::GRAPH).mutable_g();
              add_node(body, "Abs", {"gone"}, {"t"}, "deep");
            },
            "node 'r': attribute 'body': node 'deep': it reads 'gone'"},
        Bad{"body that reads its own node",
            [](M&, G& g) {
              auto& body = *attribute(g, "body", A::GRAPH).mutable_g();
              add_node(body, "Abs", {"y"}, {"t"}, "deep");
            },
            "node 'r' is on a cycle"},
        Bad{"bodies in bodies",
            [](M&, G& g) {
              G* body = &g;
              for (int i = 0; i < 20; ++i) {
                auto& n = i == 0 ? *g.mutable_node(0) : add_node(*body, "If", {}, {}, "n");
                body = add_attribute(n, "body", A::GRAPH).mutable_g();
              }
            },
            "nested deeper than 16", ErrorCode::kUnsupported},
        Bad{"function in a circle",
            [](M& m, G& g) {
              add_function(m, "F", "F");
              g.mutable_node(0)->set_domain("own");
              g.mutable_node(0)->set_op_type("F");
              g.mutable_node(0)->clear_input();
              g.mutable_node(0)->clear_output();
            },
            "function 'own.F' calls itself"},
        Bad{"functions that explode",
            [](M& m, G& g) {
              for (int i = 0; i < 30; ++i)
                add_function(m, ("F" + std::to_string(i)).c_str(),
                             ("F" + std::to_string(i + 1)).c_str());
              g.mutable_node(0)->set_domain("own");
              g.mutable_node(0)->set_op_type("F0");
              g.mutable_node(0)->clear_input();
              g.mutable_node(0)->clear_output();
            },
            "more than 2^18 nodes", ErrorCode::kUnsupported},
        Bad{"function twice",
            [](M& m, G&) {
              add_function(m, "F", "G");
              add_function(m, "F", "G");
            },
            "function 'own.F' is defined twice"},
        Bad{"function of another opset",
            [](M& m, G&) {
              add_function(m, "F", "G");
              m.mutable_functions(0)->add_opset_import()->set_version(16);
            },
            "function 'own.F' is written for version 16 of operator set 'ai.onnx' and the model "
            "for "
            "version 17",
            ErrorCode::kUnsupported},
        Bad{"function with too many inputs",
            [](M& m, G& g) {
              add_function(m, "F", "G");
              g.mutable_node(0)->set_domain("own");
              g.mutable_node(0)->set_op_type("F");
            },
            "a call of function 'own.F' has 1 inputs and 1 outputs; the function has 0 and 0"}));

TEST(BadFile, EveryPrefixOfAModelIsRefused) {
  auto m = test::relu_model();
  add_initializer(*m.mutable_graph(), "w", {3}).mutable_float_data()->Resize(3, 1.0F);
  proto::ModelProto ordered;  // The graph last, so that no prefix is a whole model.
  ordered.set_ir_version(8);
  *ordered.mutable_graph() = m.graph();
  const std::string bytes = ordered.SerializeAsString();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto g = import_onnx(test::bytes_of(std::string_view(bytes).substr(0, n)));
    ASSERT_FALSE(g) << n;
    EXPECT_THAT(g.error().text(), HasSubstr("not an ONNX model")) << n;
  }
}

TEST(BadFile, OtherFilesAreNamed) {
  const test::TemporaryFolder folder;
  const auto text = [&](const std::string& name) {
    const auto g = import_onnx_file(folder.file(name));
    return g ? std::string("no error") : g.error().text();
  };
  folder.write("empty", "");
  folder.write("text", "Hello, this is no model at all.\n");
  folder.write("zeros", std::string(1000, '\0'));
  folder.write("long", "\x08\x08\x3a\xff\xff\xff\xff\x07");  // A graph of 2^31 - 1 bytes.
  EXPECT_THAT(text("empty"), HasSubstr("empty: this is not an ONNX model: the file is empty"));
  EXPECT_THAT(text("text"), HasSubstr("text: this is not an ONNX model"));
  EXPECT_THAT(text("zeros"), HasSubstr("zeros: this is not an ONNX model"));
  EXPECT_THAT(text("long"), HasSubstr("cut short"));
  EXPECT_THAT(text("gone"), HasSubstr("gone: No such file or directory"));
  EXPECT_THAT(text("."), HasSubstr("Is a directory"));
}

TEST(BadFile, LinksOutOfTheFolderAreRefusedAndLinksInsideFollowed) {
  const test::TemporaryFolder outside;
  const test::TemporaryFolder folder;
  outside.write("secret.bin", "1234");
  std::filesystem::create_symlink(outside.file("secret.bin"), folder.file("link.bin"));
  std::filesystem::create_directory(folder.file("sub"));
  folder.write("sub/data.bin", "1234");
  std::filesystem::create_symlink("sub/data.bin", folder.file("inside.bin"));
  const auto model = [&](const char* location) {
    M m = test::relu_model();
    external(*m.mutable_graph(), location);
    folder.write("m.onnx", m.SerializeAsString());
    return import_onnx_file(folder.file("m.onnx"));
  };
  const auto g = model("link.bin");
  ASSERT_FALSE(g);
  EXPECT_THAT(g.error().text(), HasSubstr("'link.bin', a link out of the model's folder"));
  EXPECT_TRUE(model("inside.bin"));
  EXPECT_TRUE(model("sub/data.bin"));
}

TEST(BadFile, ExternalDataNeedsAFolder) {
  M m = test::relu_model();
  external(*m.mutable_graph(), "data.bin");
  const auto g = test::import_model(m);
  ASSERT_FALSE(g);
  EXPECT_THAT(g.error().text(), HasSubstr("open it by path"));
}

}  // namespace
}  // namespace intact
