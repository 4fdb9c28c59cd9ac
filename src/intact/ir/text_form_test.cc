// The .qir text form: print.h and parse.h against each other and against texts written by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "ir/parse.h"
#include "ir/print.h"
#include "ir/synthetic.h"
#include "ir/text.h"

namespace intact {
namespace {

using ::testing::HasSubstr;

Graph parsed(std::string_view text) {
  auto g = parse_graph(text);
  EXPECT_TRUE(g) << g.error().text();
  return g ? *std::move(g) : Graph{};
}

// Everything the form can say, in the spelling that print_graph uses.
constexpr std::string_view kEverything = R"(graph "net" {
  opset 17
  opset intact 1
  opset "odd domain" 2
  ir_version 10
  producer "p\"q\\"
  producer_version "1.2"
  domain "d"
  model_version 7
  model_doc "m"
  doc "line\nnext\xff"
  metadata "k" = "v"
  input %x: float32[N,3,"past + 1",?]
  input %"a b": int64[]
  input %c: bool[*]
  input %unknown
  const %w: float32[2,2] = [1, -0, inf, 0x7f800001]
  const %s: float16[] = 0.099975586
  const %q: int8[2] quant(scale=[0.5, 0.25], zero_point=[0, -3], axis=0) = [-128, 127]
  const %n: uint4[3] = [15, 0, 7]
  const %m: int4[3] = [-8, 7, -1]
  const %zeros: float32[64] = splat(0)
  const %count: int64[20] = iota
  const %empty: float32[0,3] = []
  const %t: bool[2] = [true, false]
  const %big: uint64[1] = [18446744073709551615]
  %y: float32[N,64,?,?] channels_last doc "out", _ = Conv(%x, %w, _) {auto_pad="SAME", e=[], f=0.5, floats=[1.0, -0.25], g=1.0, i=-3, ints=[1, 2], nf=floats[], ns=strings[], strs=["a", "b\n"], value=tensor<int32[2]> [4, 5]} @conv/1 doc "why" metadata "a" = "b"
  %z = If(%c | %y, %x) {else_branch=graph "e" {
      input %p
      input %p2
      output %p
    }, then_branch=graph "t" {
      input %p
      input %p2
      %r: float32[*] = Relu(%p)
      output %r
    }} @"odd name"
  () = intact.Sink(%z)
  %v = "odd domain".Op()
  %u = ai.onnx.ml."odd op"(| %z)
  output %y
  output %z
}
)";

TEST(TextForm, EverythingRoundTripsExactly) {
  const Graph g = parsed(kEverything);
  EXPECT_EQ(print_graph(g), kEverything);
}

TEST(TextForm, ParsedGraphHoldsWhatTheTextSays) {
  const Graph g = parsed(kEverything);
  EXPECT_EQ(g.opset(), 17);
  EXPECT_EQ(g.opset("odd domain"), 2);
  EXPECT_EQ(g.doc_string, "line\nnext\xff");
  const Value& x = g.value(*g.find_value("x"));
  ASSERT_TRUE(x.type.shape);
  EXPECT_EQ((*x.type.shape)[0], Dim::symbolic("N"));
  EXPECT_EQ((*x.type.shape)[1], Dim(3));
  EXPECT_EQ((*x.type.shape)[2], Dim::symbolic("past + 1"));
  EXPECT_EQ((*x.type.shape)[3], Dim());
  EXPECT_FALSE(g.value(*g.find_value("c")).type.shape);
  EXPECT_TRUE(g.value(*g.find_value("a b")).type.shape->empty());
  const Tensor& w = *g.constant(*g.find_value("w"));
  EXPECT_EQ(w.values<float>()[0], 1.0F);
  EXPECT_TRUE(std::signbit(w.values<float>()[1]));
  EXPECT_EQ(w.values<float>()[2], std::numeric_limits<float>::infinity());
  EXPECT_EQ(std::bit_cast<std::uint32_t>(w.values<float>()[3]), 0x7f800001U);
  const Tensor& n = *g.constant(*g.find_value("n"));
  EXPECT_EQ(n.raw()[0], std::byte{0x0F});
  EXPECT_EQ(n.raw()[1], std::byte{0x07});
  EXPECT_EQ(to_int64(*g.constant(*g.find_value("m"))), (std::vector<std::int64_t>{-8, 7, -1}));
  const Value& q = g.value(*g.find_value("q"));
  EXPECT_EQ(q.quant, (Quant{{0.5F, 0.25F}, {0, -3}, 0}));
  ASSERT_EQ(g.nodes.size(), 5U);
  const Node& conv = g.nodes[0];
  EXPECT_EQ(conv.name, "conv/1");
  EXPECT_EQ(conv.outputs, (std::vector<ValueId>{*g.find_value("y"), kNoValue}));
  EXPECT_EQ(conv.in(2), kNoValue);
  EXPECT_EQ(conv.get_int("i", 0), -3);
  EXPECT_EQ(conv.get_float("g", 0), 1.0F);
  EXPECT_EQ(conv.get_floats("floats"), (std::vector<float>{1.0F, -0.25F}));
  EXPECT_TRUE(std::holds_alternative<std::vector<float>>(conv.attributes.at("nf")));
  EXPECT_TRUE(std::holds_alternative<std::vector<std::string>>(conv.attributes.at("ns")));
  EXPECT_EQ(conv.get_tensor("value")->values<std::int32_t>()[1], 5);
  EXPECT_EQ(g.nodes[1].num_captured, 2);
  EXPECT_EQ(g.nodes[1].inputs.size(), 3U);
  EXPECT_TRUE(g.nodes[2].is("Sink", "intact"));
  EXPECT_TRUE(g.nodes[3].is("Op", "odd domain"));
  EXPECT_TRUE(g.nodes[4].is("odd op", "ai.onnx.ml"));
}

TEST(TextForm, NodesMayComeBeforeTheirInputs) {
  const Graph g = parsed("graph g { output %z %z = Relu(%y) %y = Abs(%x) input %x }");
  EXPECT_EQ(g.nodes[0].op, "Relu");
  EXPECT_EQ(g.nodes[0].in(0), g.nodes[1].out(0));
}

TEST(TextForm, EveryElementOfEveryTypeRoundTrips) {
  std::mt19937_64 bits(1);  // Seed 1: any bits are legal in every type but bool.
  for (int code = 1; code <= 22; ++code) {
    const auto dtype = static_cast<Dtype>(code);
    if (bits_of(dtype) == 0) continue;
    Graph g;
    Tensor t(dtype, {501});
    for (std::size_t i = 0; i < t.bytes(); ++i)
      t.raw()[i] = static_cast<std::byte>(dtype == Dtype::kBool ? bits() & 1U : bits() & 0xFFU);
    if (bits_of(dtype) == 4) t.raw()[250] &= std::byte{0x0F};  // The half byte behind the end.
    g.add_constant("t", t);
    const Graph back = parsed(print_graph(g, {.inline_elements = kPrintAllElements}));
    ASSERT_EQ(back.values.size(), 1U) << name_of(dtype);
    const Tensor& u = *back.values[0].constant;
    EXPECT_EQ(u.dtype(), dtype);
    EXPECT_EQ(std::memcmp(u.raw(), t.raw(), t.bytes()), 0) << name_of(dtype);
  }
}

TEST(TextForm, LargeConstantsPrintAsHash) {
  Graph g = parsed("graph g { const %w: float32[8,8] = random(1) output %w }");
  const std::string text = print_graph(g);
  EXPECT_THAT(text, HasSubstr("const %w: float32[8,8] = dense<hash="));
  EXPECT_EQ(print_graph(g), text);
  g.values[0].constant->mutable_values<float>()[63] += 1;
  EXPECT_NE(print_graph(g), text);
  const auto back = parse_graph(text);
  ASSERT_FALSE(back);
  EXPECT_THAT(back.error().text(), HasSubstr("only a hash"));
}

TEST(TextForm, BrokenGraphsPrint) {
  Graph g;
  g.nodes.push_back({});
  g.nodes[0].op = "Relu";
  g.nodes[0].inputs = {5};
  g.nodes[0].outputs = {-7};
  g.outputs = {3};
  EXPECT_THAT(print_graph(g), HasSubstr("dangling"));
}

TEST(Synthetic, RandomStaysInItsRangeAndReachesIt) {
  const Graph g = parsed(
      "graph g { const %a: int8[4096] = random(3) const %b: uint4[4096] = random(3) "
      "const %c: float32[4096] = random(3, 2, 5) const %d: int64[4096] = random(3, -2, 2) "
      "const %e: float32[4096] = random(4, 2, 5) }");
  const auto limits = [&](const char* name) {
    const auto x = to_float64(*g.constant(*g.find_value(name)));
    const auto [lo, hi] = std::minmax_element(x.begin(), x.end());
    return std::pair(*lo, *hi);
  };
  EXPECT_EQ(limits("a"), std::pair(-128.0, 127.0));
  EXPECT_EQ(limits("b"), std::pair(0.0, 15.0));
  EXPECT_EQ(limits("d"), std::pair(-2.0, 2.0));
  EXPECT_GE(limits("c").first, 2.0);
  EXPECT_LT(limits("c").second, 5.0);
  EXPECT_NE(to_float64(*g.constant(*g.find_value("c"))),
            to_float64(*g.constant(*g.find_value("e"))));
}

TEST(Synthetic, IotaWrapsLikeTheType) {
  const Graph g = parsed("graph g { const %a: int8[130] = iota const %b: float32[2,2] = iota }");
  const auto a = g.constant(0)->values<std::int8_t>();
  EXPECT_EQ(a[127], 127);
  EXPECT_EQ(a[128], -128);
  EXPECT_EQ(a[129], -127);
  EXPECT_EQ(to_float64(*g.constant(1)), (std::vector<double>{0, 1, 2, 3}));
}

struct BadText {
  const char* text;
  const char* where;
  const char* message;
};

class ParseErrors : public ::testing::TestWithParam<BadText> {};

TEST_P(ParseErrors, NameLineAndColumn) {
  const auto g = parse_graph(GetParam().text);
  ASSERT_FALSE(g);
  EXPECT_EQ(g.error().where, GetParam().where);
  EXPECT_THAT(g.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ParseErrors,
    ::testing::Values(
        BadText{"", "line 1, column 1", "expected graph \"name\" {, found the end of the text"},
        BadText{"graph g {", "line 1, column 10", "'}' at the end"},
        BadText{"graph g {} x", "line 1, column 12", "after the end"},
        BadText{"graph g {\n  output %y\n}", "line 2, column 10", "%y is not defined"},
        BadText{"graph g {\n input %x\n input %x }", "line 3, column 8", "defined twice"},
        BadText{"graph g { input %x: floot[1] }", "line 1, column 21", "a type such as float32"},
        BadText{"graph g { input %x: float32[-1] }", "line 1, column 29", "negative size"},
        BadText{"graph g { input %x: float32[1 2] }", "line 1, column 31", "expected ']'"},
        BadText{"graph g { const %x: float32[3] = [1, 2] }", "line 1, column 34",
                "2 elements for the 3 of [3]"},
        BadText{"graph g { const %x: float32[1] = [1, 2] }", "line 1, column 38",
                "more than the 1"},
        BadText{"graph g { const %x: uint8[1] = [256] }", "line 1, column 33",
                "an element of type uint8, found '256'"},
        BadText{"graph g { const %x: int4[1] = [8] }", "line 1, column 32", "type int4"},
        BadText{"graph g { const %x: float32[N] = splat(1) }", "line 1, column 34", "numbers"},
        BadText{"graph g { const %x: string[1] = [1] }", "line 1, column 33", "type string"},
        BadText{"graph g { const %x: float32[1048576,1048575] = splat(1) }", "line 1, column 48",
                "memory"},
        BadText{"graph g { const %x: float32[99999999999,99999999999] = iota }",
                "line 1, column 56", "2^40"},
        BadText{"graph g { %y = Relu(%x }", "line 1, column 24", "expected ')', found '}'"},
        BadText{"graph g { %y = Relu(%x) {a=1, a=2} }", "line 1, column 31", "given twice"},
        BadText{"graph g { %y = Relu(%x) {a=[1, 2.0]} }", "line 1, column 36", "mixes"},
        BadText{"graph g { %y = Relu(%x) {a=99999999999999999999} }", "line 1, column 28",
                "64-bit integer"},
        BadText{"graph \"g {\n", "line 1, column 7", "closing quote"},
        BadText{"graph g { # }", "line 1, column 11", "unexpected character '#'"},
        BadText{"graph g { \xff }", "line 1, column 11", "unexpected character '\\xff'"},
        BadText{"graph g { colour 3 }", "line 1, column 11", "found 'colour'"},
        BadText{"graph g { input _ }", "line 1, column 17", "'_' is not a value"},
        BadText{"graph g { input %x quant(zero_point=[3000000000]) }", "line 1, column 38",
                "beyond 32 bits"}));

TEST(ParseErrors, DeepNestingIsRefused) {
  std::string text = "graph g {";
  for (int i = 0; i < 1000; ++i) text += "%y = If() {b=graph g {";
  const auto g = parse_graph(text);
  ASSERT_FALSE(g);
  EXPECT_THAT(g.error().message, HasSubstr("nested deeper"));
}

TEST(Text, PrintableNeverPrintsBrokenUtf8) {
  EXPECT_EQ(printable("a\xc3\xa9\xc3(\x01\x7f\"\\"), "a\xc3\xa9\\xc3(\\x01\\x7f\\\"\\\\");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // A surrogate is not UTF-8.
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // Nor is an overlong slash.
  EXPECT_EQ(printable(std::string(300, 'x')), std::string(200, 'x') + "...");
}

TEST(Text, NumbersAreShortestThatReadBack) {
  EXPECT_EQ(number_text(0.1F), "0.1");
  EXPECT_EQ(number_text(1.0F / 3), "0.33333334");
  EXPECT_EQ(number_text(std::numeric_limits<float>::denorm_min()), "1e-45");
  EXPECT_EQ(number_text(std::numeric_limits<float>::quiet_NaN()), "nan");
}

}  // namespace
}  // namespace intact
