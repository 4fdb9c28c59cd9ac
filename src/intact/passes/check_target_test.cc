#include "passes/check_target.h"

#include <gtest/gtest.h>

#include "ir/parse.h"

namespace intact {
namespace {

// A convolution with everything in place for "any"; tests replace one piece.
std::string net(std::string text = R"(graph "g" {
  opset 13
  input %x: float32[1,2,4,4]
  const %xs: float32[] = 0.5
  const %xz: uint8[] = 3
  const %w: int8[2,2,1,1] = [1, -127, 127, 5]
  const %ws: float32[2] = [0.25, 0.125]
  const %b: int32[2] = [10, -10]
  const %bs: float32[2] = [0.125, 0.0625]
  %xq = QuantizeLinear(%x, %xs, %xz) @q
  %xd = DequantizeLinear(%xq, %xs, %xz)
  %wd = DequantizeLinear(%w, %ws) {axis=0}
  %bd = DequantizeLinear(%b, %bs) {axis=0}
  %y = Conv(%xd, %wd, %bd) @conv
  output %y
})") {
  return text;
}

std::string with(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::vector<std::string> rules(const std::string& text, std::string_view target = "any") {
  const auto g = parse_graph(text);
  EXPECT_TRUE(g) << g.error().text();
  std::vector<std::string> names;
  if (g)
    for (const auto& v : check_target(*g, target)) names.push_back(v.rule + " " + v.node);
  return names;
}

using Rules = std::vector<std::string>;

TEST(CheckTarget, AcceptsWhatKeepsTheRules) { EXPECT_EQ(rules(net()), Rules{}); }

TEST(CheckTarget, A1CodesAreOnlyDequantized) {
  EXPECT_EQ(rules(with(net(), "  output %y", "  %z = Identity(%xq)\n  output %y\n  output %z")),
            Rules{"A1 q"});
}
TEST(CheckTarget, A2ActivationsAreUint8WithOneScale) {
  EXPECT_EQ(rules(with(net(), "%xz: uint8[] = 3", "%xz: int8[] = 3")), Rules{"A2 q"});
}
TEST(CheckTarget, A3WeightsAreSymmetricInt8) {
  EXPECT_EQ(rules(with(net(), "-127", "-128")), Rules{"A3 conv"});
}
TEST(CheckTarget, A4BiasIsInt32WithTheProductOfTheScales) {
  EXPECT_EQ(rules(with(net(), "[0.125, 0.0625]", "[0.125, 0.0626]")), Rules{"A4 conv"});
  EXPECT_EQ(rules(with(with(net(), "%b: int32[2] = [10, -10]", "%b: float32[2] = [1, 2]"),
                       "%bd = DequantizeLinear(%b, %bs) {axis=0}", "%bd = Identity(%b)")),
            Rules{"A4 conv"});
}
TEST(CheckTarget, A5RightSidesOfActivationsHaveTheMiddleCodeForZero) {
  const std::string pair = R"(graph "g" {
  opset 13
  input %a: float32[4,4]
  input %b: float32[4,4]
  const %s: float32[] = 0.5
  const %z: uint8[] = 3
  const %m: uint8[] = 128
  %aq = QuantizeLinear(%a, %s, %z)
  %ad = DequantizeLinear(%aq, %s, %z)
  %bq = QuantizeLinear(%b, %s, %m)
  %bd = DequantizeLinear(%bq, %s, %m)
  %y = MatMul(%ad, %bd) @pair
  output %y
})";
  EXPECT_EQ(rules(pair), Rules{});
  const std::string other = with(pair, "%m: uint8[] = 128", "%m: uint8[] = 127");
  EXPECT_EQ(rules(other), Rules{"A5 pair"});
  // Codes that others read too have the zero point that those want.
  EXPECT_EQ(rules(with(other, "  output %y", "  %r = Relu(%bd)\n  output %y\n  output %r")),
            Rules{});
}
TEST(CheckTarget, A6PerChannelScalesNeedOpset13) {
  EXPECT_EQ(rules(with(net(), "opset 13", "opset 12")).size(), 2u);
}

std::string for_tensorrt() {
  return with(with(with(net(), "%xz: uint8[] = 3", "%xz: int8[] = 0"), "%b: int32[2] = [10, -10]",
                   "%b: float32[2] = [1, 2]"),
              "%bd = DequantizeLinear(%b, %bs) {axis=0}", "%bd = Identity(%b)");
}
TEST(CheckTarget, AcceptsWhatKeepsTheRulesOfTensorrt) {
  EXPECT_EQ(rules(for_tensorrt(), "tensorrt"), Rules{});
}
TEST(CheckTarget, T1ActivationsAreSymmetricInt8) {
  EXPECT_EQ(rules(with(for_tensorrt(), "int8[] = 0", "int8[] = 1"), "tensorrt"), Rules{"T1 q"});
}
TEST(CheckTarget, T2BiasIsFloat) {
  EXPECT_EQ(rules(with(net(), "%xz: uint8[] = 3", "%xz: int8[] = 0"), "tensorrt"),
            Rules{"T2 conv"});
}
TEST(CheckTarget, T3NoCodesBetweenConvolutionAndAdd) {
  EXPECT_EQ(rules(with(for_tensorrt(), "  output %y",
                       "  %yq = QuantizeLinear(%y, %xs, %xz) @q2\n  %yd = DequantizeLinear(%yq, "
                       "%xs, %xz)\n  %z = Add(%yd, %x)\n  output %z"),
                  "tensorrt"),
            Rules{"T3 q2"});
}

}  // namespace
}  // namespace intact
