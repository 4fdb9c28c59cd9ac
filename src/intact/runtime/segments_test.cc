// Runs of more than one plan: operators whose output shape depends on data.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "runtime/engine_test_util.h"

namespace intact {
namespace {

// The elements of x above zero, in order, then doubled: Gather's shape is NonZero's.
const char* const kPositives = R"(graph "g" {
  opset 17
  input %x: float32[N]
  const %zero: float32[] = 0
  const %minus: int64[1] = [-1]
  %above = Greater(%x, %zero)
  %found = NonZero(%above)
  %flat = Reshape(%found, %minus)
  %picked = Gather(%x, %flat)
  %y = Add(%picked, %picked)
  output %y
  output %above
})";

TEST(Segments, ShapesFollowData) {
  auto engine = engine_of(kPositives);
  for (const std::vector<float>& x :
       {std::vector<float>{1, -2, 3, -4}, {-1, 2, 3, 4}, {-1, -1, -1, -1}, {5}, {1, -2, 3, -4}}) {
    std::vector<float> expected;
    for (const float v : x)
      if (v > 0) expected.push_back(2 * v);
    const auto n = static_cast<std::int64_t>(x.size());
    const auto y = engine->run(std::vector{Tensor::of<float>({n}, std::span<const float>(x))});
    ASSERT_TRUE(y.has_value()) << y.error().text();
    EXPECT_EQ(floats((*y)[0]), expected);
    EXPECT_EQ((*y)[1].size(), n);
  }
}

// The second plan sees a value of the first with other axes, and the third reads it so.
TEST(Segments, ViewsOfEarlierValuesLast) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[N]
  input %s: int64[R]
  input %t: int64[Q]
  const %axes: int64[1] = [0]
  %a = Neg(%x)
  %first = Reshape(%a, %s)
  %seen = Unsqueeze(%a, %axes)
  %second = Reshape(%first, %t)
  %y = Add(%seen, %second)
  output %y
  output %seen
})");
  const auto x = Tensor::of<float>({4}, {1, 2, 3, 4});
  for (int round = 0; round < 2; ++round) {
    const auto y = engine->run(std::vector{x, Tensor::of<std::int64_t>({2}, {2, 2}),
                                           Tensor::of<std::int64_t>({2}, {1, 4})});
    ASSERT_TRUE(y.has_value()) << y.error().text();
    EXPECT_EQ((*y)[0].shape(), (Shape{1, 4}));
    EXPECT_EQ(floats((*y)[0]), (std::vector<float>{-2, -4, -6, -8}));
    EXPECT_EQ(floats((*y)[1]), (std::vector<float>{-1, -2, -3, -4}));
  }
}

TEST(Segments, ShapesMayBeInputs) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[N]
  input %s: int64[R]
  %a = Neg(%x)
  %y = Reshape(%a, %s)
  output %y
})");
  const auto x = Tensor::of<float>({6}, {1, 2, 3, 4, 5, 6});
  for (const auto& [rows, cols] : {std::pair{2, 3}, {3, 2}, {2, 3}, {1, 6}}) {
    const auto y = engine->run(std::vector{x, Tensor::of<std::int64_t>({2}, {rows, cols})});
    ASSERT_TRUE(y.has_value()) << y.error().text();
    EXPECT_EQ((*y)[0].shape(), (Shape{rows, cols}));
    EXPECT_EQ(floats((*y)[0]), (std::vector<float>{-1, -2, -3, -4, -5, -6}));
  }
  const auto wrong = engine->run(std::vector{x, Tensor::of<std::int64_t>({2}, {4, 2})});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().text().find("Reshape"), std::string::npos);
  EXPECT_TRUE(engine->run(std::vector{x, Tensor::of<std::int64_t>({1}, {6})}).has_value());
}

// Weights that depend on data are packed anew in every run, those of later nodes too.
TEST(Segments, ComputedWeightsAreNotRemembered) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  opset intact 1
  input %x: float32[1,1,2,2]
  input %w: float32[1,1,1,1]
  const %two: float32[1,1,1,1] = splat(2)
  %v = Mul(%w, %two)
  %image = intact.ToChannelsLast(%x)
  %c = Conv(%image, %v)
  %u = Add(%v, %two)
  %y = Conv(%c, %u)
  output %y
})");
  const auto x = Tensor::of<float>({1, 1, 2, 2}, {1, 2, 3, 4});
  for (const float w : {1.0f, 5.0f, 1.0f}) {
    const auto y = engine->run(std::vector{x, Tensor::of<float>({1, 1, 1, 1}, {w})});
    ASSERT_TRUE(y.has_value()) << y.error().text();
    const float f = 2 * w * (2 * w + 2);
    EXPECT_EQ(floats((*y)[0]), (std::vector<float>{f, 2 * f, 3 * f, 4 * f}));
  }
}

TEST(Segments, RunsMayBeConcurrent) {
  auto engine = engine_of(kPositives, 2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&, c] {
      for (int i = 0; i < 50; ++i) {
        std::vector<float> x(5, -1.0f);
        std::fill_n(x.begin(), (i + c) % 6, 3.0f);
        const auto y = engine->run(std::vector{Tensor::of<float>({5}, std::span<const float>(x))});
        const std::vector<float> expected(static_cast<std::size_t>((i + c) % 6), 6.0f);
        if (!y || floats((*y)[0]) != expected) ++wrong;
      }
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace intact
