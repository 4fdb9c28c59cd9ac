// The engine on small graphs, against sums written out in the test.
#include "runtime/engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cfenv>
#include <cmath>
#include <thread>

#include "runtime/engine_test_util.h"

namespace intact {
namespace {

TEST(Engine, RunsElementWiseOperatorsWithBroadcasting) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[N,2]
  const %b: float32[2] = [10, 20]
  %y = Add(%x, %b)
  output %y
})");
  const auto y = engine->run(std::vector{Tensor::of<float>({2, 2}, {1, 2, 3, 4})});
  ASSERT_TRUE(y.has_value());
  EXPECT_EQ(floats((*y)[0]), (std::vector<float>{11, 22, 13, 24}));
}

TEST(Engine, ComputesShapesWhilePlanning) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[A,B]
  const %one: int64[1] = [1]
  const %minus: int64[1] = [-1]
  %s = Shape(%x)
  %n = Gather(%s, %one)
  %t = Concat(%n, %minus) {axis=0}
  %y = Reshape(%x, %t)
  output %y
})");
  const auto y = engine->run(std::vector{Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})});
  ASSERT_TRUE(y.has_value()) << y.error().text();
  EXPECT_EQ((*y)[0].shape(), (Shape{3, 2}));
  const auto plan = engine->plan_for(std::vector{Tensor::of<float>({2, 3}, {0, 0, 0, 0, 0, 0})});
  EXPECT_TRUE((*plan)->steps.empty());
}

// Where the reals are read too, one step makes both; where they are not, two steps make the codes.
TEST(Engine, LayerNormalizationMakesTheCodesThatSeparateStepsMake) {
  constexpr std::string_view kNet = R"(graph "g" {{
  opset 17
  input %x: float32[7,20]
  const %s: float32[20] = random(1)
  const %b: float32[20] = random(2)
  const %k: float32[20] = random(3)
  const %qs: float32[] = 0.03
  const %qz: uint8[] = 90
  %y = LayerNormalization(%x, %s, %b)
  {}
  %c = QuantizeLinear({}, %qs, %qz)
  {}
  output %c
}})";
  std::vector<float> values(7 * 20);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i * 7919 % 1009) * 0.01f;
  values[45] = std::nanf("");
  const std::vector inputs{Tensor::of<float>({7, 20}, std::span<const float>(values))};
  for (const bool factor : {false, true}) {
    std::vector<std::vector<std::uint8_t>> codes;
    for (const bool residual : {false, true})
      for (const int threads : {1, 2}) {
        const std::string text =
            fmt::format(kNet, factor ? "%m = Mul(%y, %k)" : "", factor ? "%m" : "%y",
                        residual ? "%r = Add(%y, %x)\n  output %r" : "");
        const auto engine = engine_of(text.c_str(), threads);
        const auto out = engine->run(inputs);
        ASSERT_TRUE(out.has_value()) << out.error().text();
        const auto c = out->back().values<std::uint8_t>();
        codes.emplace_back(c.begin(), c.end());
      }
    for (const auto& c : codes) EXPECT_EQ(c, codes[0]);
    EXPECT_EQ(codes[0][45], 90);
    EXPECT_NE(codes[0][5], codes[0][6]);
  }
}

TEST(Engine, AnOutputMayBeAnInputOrAConstantOrComeTwice) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[2]
  const %c: float32[1] = [7]
  %y = Neg(%x)
  %z = Identity(%y)
  %i = Identity(%x)
  %k = Identity(%c)
  output %y
  output %z
  output %i
  output %k
})");
  const auto out = engine->run(std::vector{Tensor::of<float>({2}, {1, -2})});
  ASSERT_TRUE(out.has_value()) << out.error().text();
  EXPECT_EQ(floats((*out)[0]), (std::vector<float>{-1, 2}));
  EXPECT_EQ(floats((*out)[1]), (std::vector<float>{-1, 2}));
  EXPECT_EQ(floats((*out)[2]), (std::vector<float>{1, -2}));
  EXPECT_EQ(floats((*out)[3]), (std::vector<float>{7}));
}

TEST(Engine, RefusesWhatDoesNotFitByName) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[N,2]
  %y = Neg(%x)
  output %y
})");
  const auto wrong = engine->run(std::vector{Tensor::of<float>({1, 3}, {1, 2, 3})});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kDataMismatch);
  EXPECT_NE(wrong.error().text().find("'x' has shape [1,3]; the model expects [N,2]"),
            std::string::npos);
}

TEST(Engine, NamesNodeDomainOperatorAndOpsetOfWhatItDoesNotRun) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  opset my.domain 3
  input %x: float32[2]
  %y = my.domain.Frob(%x) @strange
  output %y
})");
  const auto out = engine->run(std::vector{Tensor::of<float>({2}, {1, 2})});
  ASSERT_FALSE(out.has_value());
  EXPECT_EQ(out.error().code, ErrorCode::kUnsupported);
  for (const char* part : {"strange", "Frob", "my.domain", "3"})
    EXPECT_NE(out.error().text().find(part), std::string::npos) << out.error().text();
}

TEST(Engine, AnIndexOutOfRangeIsAnErrorOfTheRun) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %i: int64[1]
  input %x: float32[3]
  %y = Gather(%x, %i)
  output %y
})");
  const Tensor x = Tensor::of<float>({3}, {1, 2, 3});
  const auto good = engine->run(std::vector{Tensor::of<std::int64_t>({1}, {-1}), x});
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(floats((*good)[0]), std::vector<float>{3});
  const auto bad = engine->run(std::vector{Tensor::of<std::int64_t>({1}, {3}), x});
  ASSERT_FALSE(bad.has_value());
  EXPECT_NE(bad.error().text().find("index 3 is outside [-3, 3)"), std::string::npos);
}

// y = clamp(rne((sum_k (x - zx) w + b) s_x s_w / s_y) + zy), written out.
TEST(Engine, AnIntegerLinearLayerRoundsOnce) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  opset intact 1
  input %x: uint8[N,3] quant(scale=[0.5], zero_point=[2])
  const %w: int8[3,2] quant(scale=[0.25, 0.125], zero_point=[0, 0], axis=1) = [1, -2, 3, 4, -5, 127]
  const %b: int32[2] = [3, -4]
  %y: uint8[N,2] quant(scale=[0.75], zero_point=[10]) = intact.QLinear(%x, %w, %b)
  output %y
})");
  const std::vector<std::uint8_t> x{0, 255, 7, 2, 2, 2};
  const auto y =
      engine->run(std::vector{Tensor::of<std::uint8_t>({2, 3}, std::span<const std::uint8_t>(x))});
  ASSERT_TRUE(y.has_value()) << y.error().text();
  const int w[3][2] = {{1, -2}, {3, 4}, {-5, 127}};
  const int b[2] = {3, -4};
  const double ws[2] = {0.25, 0.125};
  for (int r = 0; r < 2; ++r)
    for (int n = 0; n < 2; ++n) {
      int acc = b[n];
      for (int k = 0; k < 3; ++k) acc += (x[static_cast<std::size_t>(3 * r + k)] - 2) * w[k][n];
      const double real = acc * 0.5 * ws[n] / 0.75;
      const double code = std::clamp(std::nearbyint(real) + 10, 0.0, 255.0);
      EXPECT_EQ((*y)[0].values<std::uint8_t>()[static_cast<std::size_t>(2 * r + n)], code)
          << r << n;
    }
}

TEST(Engine, AChainMultipliesByAFactorAChannelAndRoundsThatProduct) {
  constexpr std::size_t kRows = 11;
  for (const bool relu : {false, true})
    for (const std::size_t cols : {std::size_t{7}, std::size_t{384}, std::size_t{4100}}) {
      auto engine = engine_of(fmt::format(R"(graph "g" {{
  opset 17
  opset intact 1
  input %x: float32[{0},{1}]
  input %f: float32[{1}]
  %y: uint8[{0},{1}] quant(scale=[0.1], zero_point=[31]) = intact.Chain(%x, %f) {{chain = [{2}"Mul"], chain_inputs = [{3}1], chain_alpha = [{4}0.0], chain_beta = [{4}0.0]}}
  output %y
}})",
                                          kRows, cols, relu ? "\"Relu\", " : "", relu ? "-1, " : "",
                                          relu ? "0.0, " : "")
                                  .c_str(),
                              2);
      std::vector<float> x(kRows * cols), f(cols);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = 9 * std::sin(static_cast<float>(i));
      for (std::size_t i = 0; i < cols; ++i) f[i] = 1 + std::cos(static_cast<float>(i));
      const auto n = static_cast<std::int64_t>(cols);
      const auto y =
          engine->run(std::vector{Tensor::of<float>({kRows, n}, std::span<const float>(x)),
                                  Tensor::of<float>({n}, std::span<const float>(f))});
      ASSERT_TRUE(y.has_value()) << y.error().text();
      const auto codes = (*y)[0].values<std::uint8_t>();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float product = (relu ? std::max(x[i], 0.0f) : x[i]) * f[i % cols];
        const float code = std::clamp(std::nearbyint(product / 0.1f) + 31, 0.0f, 255.0f);
        ASSERT_EQ(codes[i], static_cast<std::uint8_t>(code)) << relu << ' ' << cols << ' ' << i;
      }
    }
}

TEST(Engine, AChainOfSumsAndProductsRoundsEachOfThem) {
  // Rows that are worked on side by side, with some left; and one that is cut.
  for (const auto& [rows, cols] : {std::pair{19, 24}, std::pair{700, 96}, std::pair{2, 40001}}) {
    auto engine = engine_of(fmt::format(R"(graph "g" {{
  opset 17
  opset intact 1
  input %x: float32[{0},{1}]
  input %f: float32[{1}]
  input %q: uint8[{0},{1}] quant(scale=[0.03], zero_point=[100])
  %y: uint8[{0},{1}] quant(scale=[0.1], zero_point=[100]) = intact.Chain(%x, %f, %x, %q) {{chain = ["Mul", "Add", "RSub"], chain_inputs = [1, 2, 3], chain_alpha = [0.0, 0.0, 0.0], chain_beta = [0.0, 0.0, 0.0]}}
  output %y
}})",
                                        rows, cols)
                                .c_str(),
                            2);
    const auto n = static_cast<std::size_t>(cols);
    std::vector<float> x(static_cast<std::size_t>(rows) * n), f(n);
    std::vector<std::uint8_t> q(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = 9 * std::sin(static_cast<float>(i));
      q[i] = static_cast<std::uint8_t>(i * 7);
    }
    for (std::size_t i = 0; i < n; ++i) f[i] = std::cos(static_cast<float>(i));
    const auto y = engine->run(
        std::vector{Tensor::of<float>({rows, cols}, std::span<const float>(x)),
                    Tensor::of<float>({cols}, std::span<const float>(f)),
                    Tensor::of<std::uint8_t>({rows, cols}, std::span<const std::uint8_t>(q))});
    ASSERT_TRUE(y.has_value()) << y.error().text();
    const auto codes = (*y)[0].values<std::uint8_t>();
    for (std::size_t i = 0; i < x.size(); ++i) {
      volatile float v = x[i] * f[i % n];
      v = v + x[i];
      volatile float b = static_cast<float>(q[i] - 100) * 0.03f;
      v = b - v;
      const float code = std::clamp(std::nearbyint(v / 0.1f) + 100, 0.0f, 255.0f);
      ASSERT_EQ(codes[i], static_cast<std::uint8_t>(code)) << cols << ' ' << i;
    }
  }
}

// Blocks of a 3x3 depthwise convolution that moves lines, a pointwise one that moves channels, and
// a sum with the block's input, where it may lie: what other threads still read must not be
// overwritten, and what they have not written yet must not be read.
void expect_blocks_move_codes(int kH, int kW, const std::optional<StripLimits>& strips, int joined,
                              int runs) {
  constexpr int kC = 64, kBlocks = 6;
  const auto at = [&](int c, int y, int x) {
    return static_cast<std::size_t>((c * kH + y) * kW + x);
  };
  std::string text = fmt::format(
      "graph \"g\" {{\n  opset 17\n  opset intact 1\n"
      "  input %x: uint8[1,{0},{1},{2}]\n",
      kC, kH, kW);
  std::vector<int> up, down, turn;
  for (int c = 0; c < kC; ++c) {
    for (int tap = 0; tap < 9; ++tap) up.push_back(tap == 7 ? 1 : 0);
    for (int tap = 0; tap < 9; ++tap) down.push_back(tap == 1 ? 1 : 0);
    for (int k = 0; k < kC; ++k) turn.push_back(k == (c + 5) % kC ? 1 : 0);
  }
  const std::string q = "quant(scale=[1], zero_point=[0])";
  const std::string image = fmt::format("uint8[1,{},{},{}] channels_last {}", kC, kH, kW, q);
  text += fmt::format(
      "  const %up: int8[{0},1,3,3] {1} = [{2}]\n"
      "  const %down: int8[{0},1,3,3] {1} = [{3}]\n"
      "  const %turn: int8[{0},{0},1,1] {1} = [{4}]\n"
      "  %a0: {5} = intact.ToChannelsLast(%x)\n",
      kC, q, fmt::join(up, ", "), fmt::join(down, ", "), fmt::join(turn, ", "), image);
  std::vector<std::uint8_t> x(static_cast<std::size_t>(kC * kH * kW));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint8_t>(i * 7 % 13 % 4);
  std::vector<int> wanted(x.begin(), x.end());
  for (int b = 0; b < kBlocks; ++b) {
    const int from = b % 2 == 0 ? 1 : -1;
    text += fmt::format(
        "  %t{0}: {2} = intact.QConv(%a{0}, %{3}) {{group = {4}, pads = [1, 1, 1, 1]}}\n"
        "  %a{1}: {2} = intact.QConv(%t{0}, %turn, _, %a{0}) {{chain = [\"Add\"], "
        "chain_inputs = [3], chain_alpha = [0.0], chain_beta = [0.0]}}\n",
        b, b + 1, image, from == 1 ? "up" : "down", kC);
    const std::vector<int> a = wanted;
    for (int c = 0; c < kC; ++c)
      for (int y = 0; y < kH; ++y)
        for (int i = 0; i < kW; ++i)
          if (y + from >= 0 && y + from < kH)
            wanted[at(c, y, i)] += a[at((c + 5) % kC, y + from, i)];
  }
  text += fmt::format("  %y: uint8[1,{},{},{}] = intact.ToPlain(%a{})\n  output %y\n}}", kC, kH, kW,
                      kBlocks);
  for (const int threads : {1, 2, 3, 5, 16}) {
    auto engine = engine_of(text.c_str(), {.threads = threads, .strips = strips});
    const std::vector inputs{
        Tensor::of<std::uint8_t>({1, kC, kH, kW}, std::span<const std::uint8_t>(x))};
    const auto plan = engine->plan_for(inputs);
    ASSERT_TRUE(plan.has_value()) << plan.error().text();
    const auto& steps = (*plan)->steps;
    EXPECT_EQ(std::count_if(steps.begin(), steps.end(), [](const Step& s) { return s.joined; }),
              joined);
    if (joined > 0) {
      // A worker holds no more lines than its tasks are made of, however many workers there are.
      const auto whole = engine_of(text.c_str(), {.threads = threads, .strips = std::nullopt});
      EXPECT_LT((*plan)->arena_bytes, (*whole->plan_for(inputs))->arena_bytes * 2)
          << threads << " threads";
    }
    for (int again = 0; again < runs; ++again) {
      const auto y = engine->run(inputs);
      ASSERT_TRUE(y.has_value()) << y.error().text();
      const auto codes = (*y)[0].values<std::uint8_t>();
      ASSERT_TRUE(std::equal(codes.begin(), codes.end(), wanted.begin(), wanted.end()))
          << threads << " threads";
    }
  }
}

TEST(Engine, ThreadsThatDoNotWaitAfterEachStepGiveTheSameCodes) {
  expect_blocks_move_codes(20, 12, StripLimits::of_host(), 0, 100);
}

TEST(Engine, StepsThatWorkStripByStripGiveTheSameCodes) {
  expect_blocks_move_codes(203, 8, StripLimits::of_cache(64 << 10), 6, 3);
}

TEST(Engine, StepsAreJoinedOnlyWhereEachThreadHasALine) {
  const char* const text = R"(graph "g" {
  opset 17
  opset intact 1
  input %x: float32[1,16,20,40]
  %a: float32[1,16,20,40] channels_last = intact.ToChannelsLast(%x)
  %b: float32[1,16,20,40] channels_last = MaxPool(%a) {kernel_shape = [1, 3], pads = [0, 1, 0, 1]}
  %c: float32[1,16,20,40] channels_last = MaxPool(%b) {kernel_shape = [1, 3], pads = [0, 1, 0, 1]}
  %y: float32[1,16,20,40] = intact.ToPlain(%c)
  output %y
})";
  const std::vector inputs{Tensor(Dtype::kFloat32, {1, 16, 20, 40})};
  for (const int threads : {1, 20, 21}) {
    const auto plan = engine_of(text, {.threads = threads, .strips = StripLimits::of_cache(40000)})
                          ->plan_for(inputs);
    ASSERT_TRUE(plan.has_value()) << plan.error().text();
    const auto& steps = (*plan)->steps;
    EXPECT_EQ(std::any_of(steps.begin(), steps.end(), [](const Step& s) { return s.joined; }),
              threads <= 20)
        << threads << " threads";
  }
}

// Windows that reach over the lines of the strip, and of the task, before and after theirs: the
// bytes are those of steps that run one after another, which an observed engine keeps.
TEST(Engine, StepsThatWorkStripByStripGiveTheBytesOfWholeValues) {
  struct Layer {
    int in, out, group, kernel, stride, dilation, pad;
  };
  constexpr Layer kLayers[] = {{8, 96, 1, 3, 1, 1, 1},   {96, 96, 96, 5, 1, 1, 2},
                               {96, 48, 1, 1, 1, 1, 0},  {48, 96, 1, 3, 1, 2, 0},
                               {96, 96, 96, 2, 3, 1, 4}, {96, 24, 2, 1, 1, 1, 3}};
  constexpr int kH = 300, kW = 12;
  for (const bool integer : {true, false}) {
    const std::string codes = integer ? " quant(scale=[0.25], zero_point=[7])" : "";
    std::string text = fmt::format(
        "graph \"g\" {{\n  opset 17\n  opset intact 1\n  input %x: {0}[1,8,{1},{2}]\n"
        "  %v0: {0}[1,8,{1},{2}] channels_last{3} = intact.ToChannelsLast(%x)\n",
        integer ? "uint8" : "float32", kH, kW, codes);
    int h = kH, w = kW, i = 0;
    for (const Layer& l : kLayers) {
      std::vector<int> weights;
      for (int k = 0; k < l.out * l.in / l.group * l.kernel * l.kernel; ++k)
        weights.push_back(k * 37 % 101 % 7 - 3);
      const auto size = [&](int n) {
        return (n + 2 * l.pad - l.dilation * (l.kernel - 1) - 1) / l.stride + 1;
      };
      h = size(h), w = size(w);
      text += fmt::format(
          "  const %w{0}: {1}[{2},{3},{4},{4}]{5} = [{6}]\n"
          "  %v{7}: {8}[1,{2},{9},{10}] channels_last{11} = {12}Conv(%v{0}, %w{0}) {{group = "
          "{13}, "
          "pads = [{14}, {14}, {14}, {14}], strides = [{15}, {15}], dilations = [{16}, {16}]}}\n",
          i, integer ? "int8" : "float32", l.out, l.in / l.group, l.kernel,
          integer ? " quant(scale=[0.015625], zero_point=[0])" : "", fmt::join(weights, ", "),
          i + 1, integer ? "uint8" : "float32", h, w, codes, integer ? "intact.Q" : "", l.group,
          l.pad, l.stride, l.dilation);
      ++i;
    }
    text += fmt::format("  %y: {}[1,24,{},{}] = intact.ToPlain(%v{})\n  output %y\n}}",
                        integer ? "uint8" : "float32", h, w, i);
    std::vector<Tensor> inputs;
    if (integer) {
      std::vector<std::uint8_t> x;
      for (int k = 0; k < 8 * kH * kW; ++k) x.push_back(static_cast<std::uint8_t>(k * 7 % 251));
      inputs.push_back(Tensor::of<std::uint8_t>({1, 8, kH, kW}, x));
    } else {
      std::vector<float> x;
      for (int k = 0; k < 8 * kH * kW; ++k) x.push_back(static_cast<float>(k * 7 % 251) / 97 - 1);
      inputs.push_back(Tensor::of<float>({1, 8, kH, kW}, x));
    }
    const auto run = [&](int threads, bool observed) {
      auto graph = parse_graph(text);
      EXPECT_TRUE(graph.has_value()) << graph.error().text();
      EngineOptions options{.threads = threads};
      options.strips = StripLimits::of_cache(integer ? 100 << 10 : 400 << 10);
      if (observed) options.strips.reset();
      Engine engine(std::move(*graph), options);
      const auto plan = engine.plan_for(inputs);
      std::size_t joined = 0;
      for (const Step& s : (*plan)->steps) joined += s.joined == nullptr ? 0 : s.joined->size();
      EXPECT_EQ(joined == 0, observed) << threads << " threads";
      auto y = engine.run(inputs);
      EXPECT_TRUE(y.has_value()) << y.error().text();
      return (*y)[0];
    };
    const Tensor whole = run(1, true);
    for (const int threads : {1, 2, 3, 4}) {
      const Tensor y = run(threads, false);
      EXPECT_EQ(std::memcmp(y.raw(), whole.raw(), whole.bytes()), 0) << threads << " threads";
    }
  }
}

TEST(Engine, ASumTakesThePlaceOfCodesThatNobodyReadsAgain) {
  // Weights are the identity: %b = 2 x where %c was, %d = 3 x, %e = 4 x where %a was, %f = 8 x.
  const char* text = R"(graph "g" {
  opset 17
  opset intact 1
  input %x: uint8[2,16,5,3]
  const %w: int8[16,16,1,1] quant(scale=[1], zero_point=[0]) = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
  %c: uint8[2,16,5,3] channels_last quant(scale=[1], zero_point=[0]) = intact.ToChannelsLast(%x)
  %a: uint8[2,16,5,3] channels_last quant(scale=[1], zero_point=[0]) = intact.QConv(%c, %w)
  %b: uint8[2,16,5,3] channels_last quant(scale=[1], zero_point=[0]) = intact.QConv(%a, %w, _, %c) {chain = ["Add"], chain_inputs = [3], chain_alpha = [0.0], chain_beta = [0.0]}
  %d: uint8[2,16,5,3] channels_last quant(scale=[1], zero_point=[0]) = intact.QConv(%b, %w, _, %a) {chain = ["Add"], chain_inputs = [3], chain_alpha = [0.0], chain_beta = [0.0]}
  %e: uint8[2,16,5,3] channels_last quant(scale=[1], zero_point=[0]) = intact.QConv(%d, %w, _, %a) {chain = ["Add"], chain_inputs = [3], chain_alpha = [0.0], chain_beta = [0.0]}
  %f: uint8[2,16,5,3] channels_last quant(scale=[1], zero_point=[0]) = intact.QConv(%e, %w, _, %e) {chain = ["Add"], chain_inputs = [3], chain_alpha = [0.0], chain_beta = [0.0]}
  %y: uint8[2,16,5,3] = intact.ToPlain(%f)
  output %y
})";
  std::vector<std::uint8_t> x(2 * 16 * 5 * 3);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint8_t>(i % 31);
  for (const int threads : {1, 2}) {
    const auto y = engine_of(text, threads)
                       ->run(std::vector{Tensor::of<std::uint8_t>(
                           {2, 16, 5, 3}, std::span<const std::uint8_t>(x))});
    ASSERT_TRUE(y.has_value()) << y.error().text();
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_EQ((*y)[0].values<std::uint8_t>()[i], 8 * x[i]) << i;
  }
}

TEST(Engine, ATransposedConvolutionPutsEveryPhaseInItsPlace) {
  struct Case {
    std::int64_t channels, kh, kw, sh, sw, pad;
  };
  constexpr std::int64_t kBatch = 2, kIn = 5, kH = 4, kW = 3;
  // Phases of one product: in two rows, in three of two, in one only; and of several products.
  for (const Case& k : {Case{1, 2, 2, 2, 2, 0}, Case{2, 3, 2, 3, 2, 0}, Case{8, 2, 2, 2, 2, 0},
                        Case{1, 3, 3, 2, 2, 1}, Case{3, 4, 4, 2, 2, 1}, Case{1, 1, 1, 2, 2, 0},
                        Case{4, 2, 2, 1, 1, 0}})
    for (const bool codes : {false, true}) {
      const std::int64_t h = (kH - 1) * k.sh + k.kh - 2 * k.pad;
      const std::int64_t w = (kW - 1) * k.sw + k.kw - 2 * k.pad;
      std::vector<int> weights(static_cast<std::size_t>(kIn * k.channels * k.kh * k.kw));
      for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = static_cast<int>(i * 37 % 255) - 127;
      std::vector<std::uint8_t> x(static_cast<std::size_t>(kBatch * kIn * kH * kW));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint8_t>(i * 91);
      auto engine =
          engine_of(fmt::format(R"(graph "g" {{
  opset 17
  opset intact 1
  input %x: uint8[{0},{1},{2},{3}]
  const %w: int8[{1},{4},{5},{6}] quant(scale=[0.25], zero_point=[0]) = [{7}]
  %c: uint8[{0},{1},{2},{3}] channels_last quant(scale=[0.5], zero_point=[3]) = intact.ToChannelsLast(%x)
  %t: {8}[{0},{4},{9},{10}] channels_last {11} = intact.QConvTranspose(%c, %w, _) {{chain = ["Abs"], chain_inputs = [-1], chain_alpha = [0.0], chain_beta = [0.0], strides = [{12}, {13}], pads = [{14}, {14}, {14}, {14}]}}
  %y: {8}[{0},{4},{9},{10}] = intact.ToPlain(%t)
  output %y
}})",
                                kBatch, kIn, kH, kW, k.channels, k.kh, k.kw,
                                fmt::join(weights, ", "), codes ? "uint8" : "float32", h, w,
                                codes ? "quant(scale=[16], zero_point=[7])" : "", k.sh, k.sw, k.pad)
                        .c_str(),
                    2);
      const auto y = engine->run(std::vector{
          Tensor::of<std::uint8_t>({kBatch, kIn, kH, kW}, std::span<const std::uint8_t>(x))});
      ASSERT_TRUE(y.has_value()) << y.error().text();
      std::size_t at = 0;
      for (std::int64_t n = 0; n < kBatch; ++n)
        for (std::int64_t o = 0; o < k.channels; ++o)
          for (std::int64_t oy = 0; oy < h; ++oy)
            for (std::int64_t ox = 0; ox < w; ++ox, ++at) {
              std::int64_t sum = 0;
              for (std::int64_t i = 0; i < kIn; ++i)
                for (std::int64_t iy = 0; iy < kH; ++iy)
                  for (std::int64_t ix = 0; ix < kW; ++ix) {
                    const std::int64_t ky = oy + k.pad - iy * k.sh, kx = ox + k.pad - ix * k.sw;
                    if (ky < 0 || ky >= k.kh || kx < 0 || kx >= k.kw) continue;
                    sum += (x[static_cast<std::size_t>(((n * kIn + i) * kH + iy) * kW + ix)] - 3) *
                           weights[static_cast<std::size_t>(
                               ((i * k.channels + o) * k.kh + ky) * k.kw + kx)];
                  }
              const double real = std::abs(static_cast<double>(sum)) * 0.125;
              const std::string where = fmt::format("{} {} {} {}", n, o, oy, ox);
              if (codes)
                ASSERT_EQ((*y)[0].values<std::uint8_t>()[at],
                          std::clamp(std::nearbyint(real / 16) + 7, 0.0, 255.0))
                    << where;
              else
                ASSERT_EQ(static_cast<double>((*y)[0].values<float>()[at]), real) << where;
            }
    }
}

TEST(Engine, ResultsDoNotDependOnTheCallersRoundingModeOrOnThreads) {
  const char* text = R"(graph "g" {
  opset 17
  opset intact 1
  input %x: float32[64,33]
  const %w: float32[33,17] = random(3)
  %l = intact.Linear(%x, %w)
  %y = Softmax(%l)
  output %y
})";
  std::vector<float> x(64 * 33);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  const Tensor input = Tensor::of<float>({64, 33}, std::span<const float>(x));
  const auto one = engine_of(text, 1)->run(std::vector{input});
  const auto three = engine_of(text, 3)->run(std::vector{input});
  auto engine = engine_of(text, 1);
  std::fesetround(FE_UPWARD);
  const auto upward = engine->run(std::vector{input});
  std::fesetround(FE_TONEAREST);
  ASSERT_TRUE(one && three && upward);
  EXPECT_EQ(floats((*one)[0]), floats((*three)[0]));
  EXPECT_EQ(floats((*one)[0]), floats((*upward)[0]));
}

TEST(Engine, MayBeRunByManyThreadsAtOnce) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[N]
  %a = Exp(%x)
  %y = Neg(%a)
  output %y
})",
                          2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&, c] {
      for (int i = 0; i < 50; ++i) {
        const std::vector<float> x(static_cast<std::size_t>(1 + (i + c) % 7), 0.0f);
        const auto y = engine->run(std::vector{
            Tensor::of<float>({static_cast<std::int64_t>(x.size())}, std::span<const float>(x))});
        if (!y || floats((*y)[0]) != std::vector<float>(x.size(), -1.0f)) ++wrong;
      }
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Engine, WritesToTheCallersMemory) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[N]
  %a = Neg(%x)
  %y = Exp(%a)
  output %y
  output %a
  output %x
})");
  const auto x = Tensor::of<float>({3}, {0, 1, -2});
  std::vector<float> y(3, 7.0f);
  const Tensor bound(Dtype::kFloat32, {3},
                     Buffer::wrap(std::as_writable_bytes(std::span(y)), nullptr));
  const std::vector<Tensor> outputs{bound, Tensor(), Tensor()};
  RunOptions options;
  options.outputs = outputs;
  const auto run = engine->run(std::vector{x}, options);
  ASSERT_TRUE(run.has_value()) << run.error().text();
  EXPECT_EQ((*run)[0].raw(), bound.raw());
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(floats((*run)[1]), (std::vector<float>{0, -1, 2}));
  EXPECT_EQ(floats((*run)[2]), (std::vector<float>{0, 1, -2}));
  EXPECT_NE((*run)[2].raw(), x.raw());

  const auto wrong = engine->run(std::vector{Tensor::of<float>({2}, {1, 2})}, options);
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().text().find("'y'"), std::string::npos);
  EXPECT_TRUE(engine->run(std::vector{x}).has_value());
}

TEST(Engine, RefusesMemoryOfOutputsThatOverlaps) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[4]
  %y = Neg(%x)
  %z = Exp(%x)
  output %y
  output %z
})");
  std::vector<float> memory(9, 1.0f);
  const auto part = [&](std::size_t from) {
    return Tensor(
        Dtype::kFloat32, {4},
        Buffer::wrap(std::as_writable_bytes(std::span(memory).subspan(from, 4)), nullptr));
  };
  const auto says = [&](const Tensor& x, const Tensor& y, const Tensor& z) {
    const std::vector<Tensor> outputs{y, z};
    RunOptions options;
    options.outputs = outputs;
    const auto run = engine->run(std::vector{x}, options);
    return run ? std::string() : run.error().text();
  };
  EXPECT_EQ(says(part(0), part(4), Tensor()), "");  // One begins where the other ends.
  EXPECT_NE(says(part(0), part(3), Tensor()).find("overlaps that of input 'x'"), std::string::npos);
  const auto x = Tensor::of<float>({4}, {0, 1, 2, 3});
  EXPECT_EQ(says(x, part(0), part(4)), "");
  EXPECT_NE(says(x, part(1), part(4)).find("overlaps that of output 'y'"), std::string::npos);
}

TEST(Engine, StopsWhenAskedTo) {
  auto engine = engine_of(R"(graph "g" {
  opset 17
  input %x: float32[2]
  %y = Exp(%x)
  output %y
})");
  const std::atomic<bool> cancel{true};
  RunOptions options;
  options.cancel = &cancel;
  const auto y = engine->run(std::vector{Tensor::of<float>({2}, {1, 2})}, options);
  ASSERT_FALSE(y.has_value());
  EXPECT_EQ(y.error().code, ErrorCode::kInterrupted);
}

}  // namespace
}  // namespace intact
