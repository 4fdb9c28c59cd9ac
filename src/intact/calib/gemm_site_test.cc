#include "calib/gemm_site.h"

#include <gtest/gtest.h>

#include <array>

#include "calib/placement.h"
#include "calib/run_graph.h"
#include "ir/parse.h"

namespace intact {
namespace {

Graph parsed(std::string_view text) {
  auto g = parse_graph(text);
  EXPECT_TRUE(g) << g.error().text();
  return g ? *std::move(g) : Graph{};
}

Tensor ramp(Shape shape) {
  Tensor t(Dtype::kFloat32, std::move(shape));
  std::uint32_t state = 7;
  for (float& x : t.mutable_values<float>()) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 16) / 32768.0f - 1.0f;
  }
  return t;
}

// Equation (20) against the operator itself: rows times M plus bias, at every output position.
void expect_rows_give_convolution(const std::string& attributes, const std::string& weight_shape,
                                  Shape input) {
  const Graph g = parsed("graph \"g\" {\n opset 17\n input %x: float32[1," +
                         std::to_string(input[1]) + ",?,?]\n const %w: float32[" + weight_shape +
                         "] = random(3)\n %y = Conv(%x, %w) {" + attributes + "}\n output %y\n}");
  const GemmSites found = find_gemm_sites(g);
  ASSERT_EQ(found.sites.size(), 1u);
  const GemmSite& site = found.sites[0];
  const Tensor x = ramp(input);
  const auto engine = make_engine(g.clone(), {.threads = 1});
  ASSERT_TRUE(engine) << engine.error().text();
  const auto y = (*engine)->run(std::vector<Tensor>{x});
  ASSERT_TRUE(y) << y.error().text();
  const Tensor& out = (*y)[0];
  const auto pixels = static_cast<std::size_t>(out.shape()[2] * out.shape()[3]);
  std::vector<float> rows(pixels * site.groups * site.taps);
  ASSERT_EQ(gather_rows(g, site, x.shape(), row_major_strides(x.shape()), x.values<float>().data(),
                        100000, rows.data()),
            pixels);
  const std::vector<float> m = weight_matrix(site, *g.constant(site.weight));
  for (std::size_t p = 0; p < pixels; ++p)
    for (std::size_t n = 0; n < site.groups * site.rows; ++n) {
      const std::size_t group = n / site.rows;
      double sum = 0;
      for (std::size_t k = 0; k < site.taps; ++k)
        sum += static_cast<double>(rows[p * site.groups * site.taps + group * site.taps + k]) *
               static_cast<double>(m[n * site.taps + k]);
      // taps * eps * |x| |w| with both below 1.
      ASSERT_NEAR(sum, static_cast<double>(out.values<float>()[n * pixels + p]),
                  static_cast<double>(site.taps) * 1.2e-7)
          << "pixel " << p << " channel " << n;
    }
}

TEST(GatherRows, GiveTheConvolutionWithStridesAndPads) {
  expect_rows_give_convolution("pads=[1, 0, 1, 2], strides=[2, 1]", "4,3,3,3", {1, 3, 7, 6});
}
TEST(GatherRows, GiveTheConvolutionWithGroupsAndDilations) {
  expect_rows_give_convolution("dilations=[2, 1], group=2, pads=[2, 1, 2, 1]", "6,2,3,3",
                               {1, 4, 6, 5});
}
TEST(GatherRows, GiveTheDepthwiseConvolutionWithSamePads) {
  expect_rows_give_convolution("auto_pad=\"SAME_UPPER\", group=3, strides=[2, 2]", "3,1,3,3",
                               {1, 3, 8, 7});
}

TEST(GatherRows, AreTheSameInEveryLayoutAndOfCodes) {
  const Graph g = parsed(R"(graph "g" {
    opset 17
    input %x: float32[2,3,?,?]
    const %w: float32[4,3,3,3] = random(3)
    %y = Conv(%x, %w) {pads=[1, 1, 1, 1], strides=[2, 2]}
    output %y
  })");
  const GemmSite site = find_gemm_sites(g).sites[0];
  const Shape shape{2, 3, 8, 9};
  Tensor codes(Dtype::kUint8, shape);
  for (std::size_t i = 0; i < 2 * 3 * 8 * 9; ++i)
    codes.mutable_values<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 37);
  std::array<float, 256> real;
  for (std::size_t b = 0; b < 256; ++b) real[b] = 0.5f * static_cast<float>(b) - 20.0f;
  std::vector<float> first(432), last(432);
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < 72; ++p) {
        const std::size_t at = (n * 3 + c) * 72 + p;
        first[at] = last[(n * 72 + p) * 3 + c] = real[codes.values<std::uint8_t>()[at]];
      }
  constexpr std::size_t kCount = 15;
  std::vector<float> a(kCount * 27), b(kCount * 27), c(kCount * 27);
  EXPECT_EQ(gather_rows(g, site, shape, row_major_strides(shape), first.data(), kCount, a.data()),
            kCount);
  gather_rows(g, site, shape, std::vector<std::int64_t>{216, 1, 27, 3}, last.data(), kCount,
              b.data());
  gather_rows(g, site, codes, real, kCount, c.data());
  EXPECT_EQ(a, b);
  EXPECT_EQ(a, c);
}

TEST(GatherRows, TakesDistinctPositionsSpreadOverTheInput) {
  const Graph g = parsed(R"(graph "g" {
    opset 17
    input %x: float32[1,1,?,?]
    const %w: float32[1,1,1,1] = splat(1)
    %y = Conv(%x, %w)
    output %y
  })");
  Tensor x(Dtype::kFloat32, {1, 1, 10, 100});
  float n = 0;
  for (float& v : x.mutable_values<float>()) v = n++;
  std::vector<float> rows(10);
  ASSERT_EQ(gather_rows(g, find_gemm_sites(g).sites[0], x.shape(), row_major_strides(x.shape()),
                        x.values<float>().data(), 10, rows.data()),
            10u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_GE(rows[i], static_cast<float>(i) * 100);
    EXPECT_LT(rows[i], static_cast<float>(i + 1) * 100);
  }
}

TEST(FindGemmSites, SaysWhyAProductStaysFloat) {
  const Graph g = parsed(R"(graph "g" {
    opset 17
    input %a: float32[2,2]
    input %b: float32[2,2]
    const %w: float32[2,2] = random(1)
    %c = MatMul(%a, %b)
    %d = MatMul(%w, %c)
    %e = Gemm(%d, %w) {alpha=0.5}
    %f = MatMul(%e, %w)
    const %q: int8[2,2] = [1, 2, 3, 4]
    const %s: float32[] = 0.5
    %v = DequantizeLinear(%q, %s)
    %h = MatMul(%f, %v)
    output %h
  })");
  const GemmSites found = find_gemm_sites(g);
  ASSERT_EQ(found.sites.size(), 1u);
  EXPECT_EQ(found.sites[0].node, 3);
  EXPECT_EQ(found.reasons.at(0), "both operands are activations");
  EXPECT_EQ(found.reasons.at(1), "its constant is the first operand");
  EXPECT_EQ(found.reasons.at(2), "alpha or beta differs from 1");
  EXPECT_EQ(found.reasons.at(5), "it is quantized already");
}

TEST(MatchesGlob, KnowsStarsAndQuestionMarks) {
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("conv?", "conv1"));
  EXPECT_TRUE(matches_glob("*/head*cls*", "model/head.0/cls_conv"));
  EXPECT_TRUE(matches_glob("a*b*c", "axxbybc"));
  EXPECT_FALSE(matches_glob("conv?", "conv"));
  EXPECT_FALSE(matches_glob("a*b", "acbd"));
}

constexpr std::string_view kBranches = R"(graph "g" {
  opset 17
  input %x: float32[1,4]
  const %w: float32[4,4] = random(1)
  const %g: float32[4] = splat(1)
  %n = LayerNormalization(%x, %g)
  %p = MatMul(%n, %w) @first
  %s = Add(%p, %n)
  %q = MatMul(%s, %w) @second
  %t = Add(%q, %s)
  %r = MatMul(%t, %w) @third
  output %r
})";

TEST(Place, SharesCodesExceptBehindLayerNormalization) {
  const Graph g = parsed(kBranches);
  const auto p = place(g);
  ASSERT_TRUE(p) << p.error().text();
  ASSERT_EQ(p->tensors.size(), 3u);
  EXPECT_EQ(g.value(p->tensors[0].value).name, "n");
  EXPECT_FALSE(p->tensors[0].shared);
  EXPECT_EQ(g.value(p->tensors[1].value).name, "s");
  EXPECT_TRUE(p->tensors[1].shared);
  EXPECT_FALSE(p->tensors[1].only_products);
  EXPECT_TRUE(p->tensors[2].only_products);
}

TEST(Place, KeepsFloatWhatPatternsName) {
  const Graph g = parsed(kBranches);
  const auto p = place(g, {{"sec*"}, {}, false});
  ASSERT_TRUE(p);
  EXPECT_EQ(p->sites.size(), 2u);
  EXPECT_EQ(p->reasons.size(), 1u);
}

TEST(Place, RefusesPatternsThatMatchNothingAndRequiredNodesThatStayFloat) {
  const Graph g = parsed(kBranches);
  EXPECT_FALSE(place(g, {{"nothing"}, {}, false}));
  const auto p = place(g, {{"second"}, {"second"}, false});
  ASSERT_FALSE(p);
  EXPECT_NE(p.error().message.find("second"), std::string::npos);
}

}  // namespace
}  // namespace intact
