#include "intact/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "ir/parse.h"
#include "onnx/export.h"
#include "onnx/import.h"

namespace intact {
namespace {

constexpr std::string_view kNet = R"(graph "net" {
  opset 11
  input %x: float32[1,3,8,8]
  const %w1: float32[8,3,3,3] = random(1)
  const %b1: float32[8] = random(2)
  const %w2: float32[8,1,3,3] = random(3)
  const %w3: float32[8,8,1,1] = random(4)
  const %shape: int64[2] = [1, 8]
  const %w4: float32[8,5] = random(5)
  const %b4: float32[5] = random(6)
  %a = Conv(%x, %w1, %b1) {pads=[1, 1, 1, 1]} @conv1
  %r = Relu(%a)
  %d = Conv(%r, %w2) {group=8, pads=[1, 1, 1, 1]} @depthwise
  %e = Conv(%d, %w3) @pointwise
  %s = Add(%e, %r) @residual
  %p = GlobalAveragePool(%s)
  %f = Reshape(%p, %shape)
  %y = Gemm(%f, %w4, %b4) @classes
  output %y
})";

std::string model() {
  auto g = parse_graph(kNet);
  EXPECT_TRUE(g) << g.error().text();
  auto bytes = export_onnx(*g);
  EXPECT_TRUE(bytes) << bytes.error().text();
  return *bytes;
}

OwnedTensor image(std::uint32_t seed) {
  auto values = std::make_shared<std::vector<float>>(3 * 8 * 8);
  for (float& v : *values) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<float>(seed >> 16) / 65536.0f;
  }
  return {"float32", {1, 3, 8, 8}, values->data(), values->size() * 4, values};
}

// `count` images; the one with index `bad` holds NaN.
SampleSource images(int count, int bad = -1) {
  auto next = std::make_shared<int>(0);
  return {[next]() -> Status {
            *next = 0;
            return {};
          },
          [next, count, bad]() -> Result<std::optional<SampleInputs>> {
            if (*next == count) return std::nullopt;
            OwnedTensor t = image(static_cast<std::uint32_t>(*next) + 1);
            if (*next == bad) static_cast<float*>(t.data)[5] = std::nanf("");
            ++*next;
            return SampleInputs{{"x", t}};
          }};
}

std::span<const std::byte> bytes_of_text(const std::string& s) {
  return std::as_bytes(std::span(s));
}

std::vector<float> run(const std::string& file, std::uint32_t seed) {
  auto session = Session::open(bytes_of_text(file));
  EXPECT_TRUE(session) << session.error().text();
  const OwnedTensor x = image(seed);
  auto y = session->run({{"x", {x.dtype, x.shape, x.data}}});
  EXPECT_TRUE(y) << y.error().text();
  const auto* data = static_cast<const float*>((*y)[0].data);
  return {data, data + (*y)[0].bytes / 4};
}

TEST(Quantize, MakesEveryProductIntegerAndKeepsTheOutputs) {
  const std::string file = model();
  for (const int effort : {0, 1}) {
    QuantizeOptions options;
    options.effort = effort;
    const auto r = quantize(bytes_of_text(file), "", images(30), options);
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->integer_share, 1.0);
    EXPECT_EQ(r->nodes.size(), 4u);
    EXPECT_EQ(r->calibration_samples, 24);
    EXPECT_EQ(r->held_back_samples, 6);
    EXPECT_EQ(r->verdict, Verdict::kIntact);
    double signal = 0, noise = 0;
    for (std::uint32_t seed = 100; seed < 110; ++seed) {
      const auto a = run(file, seed);
      const auto b = run(r->model, seed);
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        signal += static_cast<double>(a[i]) * static_cast<double>(a[i]);
        noise += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
      }
    }
    EXPECT_GT(10 * std::log10(signal / noise), 30) << "effort " << effort;
  }
}

// SQNR of one half of the channels of output "y": [1, 2 n, ...].
double half_db(const std::string& a_file, const std::string& b_file, bool second) {
  double signal = 0, noise = 0;
  for (std::uint32_t seed = 100; seed < 110; ++seed) {
    const auto a = run(a_file, seed);
    const auto b = run(b_file, seed);
    EXPECT_EQ(a.size(), b.size());
    const std::size_t n = a.size() / 2;
    for (std::size_t i = second ? n : 0; i < (second ? 2 * n : n); ++i) {
      signal += std::pow(static_cast<double>(a[i]), 2);
      noise += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    }
  }
  return 10 * std::log10(signal / noise);
}

// The second input of the Concat is a hundred times smaller, and the second half of the outputs
// depends on it alone.
TEST(Quantize, JoinedTensorsOfDifferentSizeKeepTheirOwnScale) {
  auto g = parse_graph(R"(graph "joined" {
    opset 13
    input %x: float32[1,3,8,8]
    const %w1: float32[8,3,3,3] = random(1)
    const %w2: float32[8,3,3,3] = random(2)
    const %hundredth: float32[1] = [0.01]
    const %w3: float32[8,8,1,1] = random(3)
    %a = Conv(%x, %w1) @big
    %b = Conv(%x, %w2) @small
    %s = Mul(%b, %hundredth)
    %c = Concat(%a, %s) {axis=1}
    %r = Relu(%c)
    %y = Conv(%r, %w3) {group=2} @reader
    output %y
  })");
  ASSERT_TRUE(g) << g.error().text();
  const std::string file = *export_onnx(*g);
  for (const std::string target : {"any", "tensorrt"})
    for (const int effort : {0, 1}) {
      QuantizeOptions options;
      options.target = target;
      options.effort = effort;
      const auto r = quantize(bytes_of_text(file), "", images(30), options);
      ASSERT_TRUE(r) << r.error().text();
      EXPECT_EQ(r->integer_share, 1.0);
      EXPECT_GT(half_db(file, r->model, false), 28) << target << " effort " << effort;
      EXPECT_GT(half_db(file, r->model, true), 28) << target << " effort " << effort;
    }
}

// Every feature is about 100 and only their differences count: 8 bits between 0 and 100 leave
// little of them. The last product is a thousandth of the work, so it may stay float, and that
// pays.
std::string differences() {
  auto g = parse_graph(R"(graph "differences" {
    opset 13
    input %x: float32[1,3,8,8]
    const %w1: float32[64,3,3,3] = random(1)
    const %w2: float32[8,64,3,3] = random(2)
    const %offset: float32[1] = [5000]
    const %shape: int64[2] = [1, 8]
    const %w3: float32[8,2] = [1, 0, -1, 1, 1, -1, -1, 0, 0, 1, 1, -1, -1, 1, 0, -1]
    %a = Conv(%x, %w1) {pads=[1, 1, 1, 1]} @big
    %r = Relu(%a)
    %b = Conv(%r, %w2) {pads=[1, 1, 1, 1]} @bigger
    %p = GlobalAveragePool(%b)
    %o = Add(%p, %offset)
    %f = Reshape(%o, %shape)
    %y = MatMul(%f, %w3) @differences
    output %y
  })");
  EXPECT_TRUE(g) << g.error().text();
  return *export_onnx(*g);
}

TEST(Quantize, LeavesFloatWhatPaysOnHeldBackSamples) {
  const std::string file = differences();
  QuantizeOptions options;
  const auto r = quantize(bytes_of_text(file), "", images(60), options);
  ASSERT_TRUE(r) << r.error().text();
  for (const NodeReport& n : r->nodes) {
    EXPECT_EQ(n.integer, n.name != "differences") << n.name;
    if (!n.integer) {
      EXPECT_NE(n.reason.find("float pays"), std::string::npos) << n.reason;
    }
  }
  EXPECT_GT(r->integer_share, 0.95);
  EXPECT_EQ(r->verdict, Verdict::kIntact) << r->sqnr_db;

  options.require_int8 = {"differences"};
  const auto kept = quantize(bytes_of_text(file), "", images(60), options);
  ASSERT_TRUE(kept) << kept.error().text();
  EXPECT_EQ(kept->integer_share, 1.0);
  EXPECT_LT(kept->sqnr_db, r->sqnr_db - 3);
}

// Weights below half a step vanish, and with inputs that are never negative the outputs' means
// move. The bias puts them back.
TEST(Quantize, PutsTheMeanBackWithoutAFit) {
  auto g = parse_graph(R"(graph "mean" {
    opset 13
    input %x: float32[1,3,8,8]
    const %w: float32[2,3,1,1] = [127, 0.4, 0.4, 127, 0.3, 0.4]
    %y = Conv(%x, %w)
    output %y
  })");
  ASSERT_TRUE(g) << g.error().text();
  const std::string file = *export_onnx(*g);
  QuantizeOptions options;
  options.effort = 0;
  const auto r = quantize(bytes_of_text(file), "", images(30), options);
  ASSERT_TRUE(r) << r.error().text();
  double change = 0;
  for (std::uint32_t seed = 100; seed < 110; ++seed) {
    const auto a = run(file, seed);
    const auto b = run(r->model, seed);
    for (std::size_t i = 0; i < a.size(); ++i)
      change += static_cast<double>(b[i]) - static_cast<double>(a[i]);
  }
  // Without the correction every value is 0.35 to 0.4 too small.
  EXPECT_LT(std::abs(change / (10 * 2 * 64)), 0.05);
}

TEST(Quantize, WritesTheFormOfItsTarget) {
  for (const std::string target : {"any", "tensorrt"}) {
    QuantizeOptions options;
    options.target = target;
    options.effort = 0;
    const auto r = quantize(bytes_of_text(model()), "", images(12), options);
    ASSERT_TRUE(r) << r.error().text();
    const auto g = import_onnx(bytes_of_text(r->model));
    ASSERT_TRUE(g) << g.error().text();
    EXPECT_EQ(g->opset(), 13);
    int int32_constants = 0;
    for (const Value& v : g->values)
      if (v.constant && v.constant->dtype() == Dtype::kInt32) ++int32_constants;
    // Every product can take a bias, which corrects the mean.
    EXPECT_EQ(int32_constants, target == "any" ? 4 : 0);
    for (const Node& n : g->nodes) {
      if (n.op != "QuantizeLinear") continue;
      const Tensor* zero = g->constant(n.in(2));
      ASSERT_NE(zero, nullptr);
      EXPECT_EQ(zero->dtype(), target == "any" ? Dtype::kUint8 : Dtype::kInt8);
      if (target == "tensorrt") {
        EXPECT_EQ(zero->values<std::int8_t>()[0], 0);
      }
    }
  }
}

TEST(Quantize, GivesTheSameBytesForAnyNumberOfThreads) {
  for (const int effort : {0, 1})
    for (const char* range : {"minmax", "average", "moving=0.9", "kl", ""}) {
      std::string first;
      for (const int threads : {1, 2, 5}) {
        QuantizeOptions options;
        options.threads = threads;
        options.effort = effort;
        options.range = range;
        const auto r = quantize(bytes_of_text(model()), "", images(21), options);
        ASSERT_TRUE(r) << r.error().text();
        if (threads == 1) first = r->model;
        EXPECT_TRUE(r->model == first) << threads << " threads, " << range << " effort " << effort;
      }
    }
}

TEST(Quantize, KeepsFloatWhatItIsTold) {
  QuantizeOptions options;
  options.effort = 0;
  options.keep_float = {"depth*"};
  const auto r = quantize(bytes_of_text(model()), "", images(12), options);
  ASSERT_TRUE(r) << r.error().text();
  EXPECT_LT(r->integer_share, 1.0);
  for (const NodeReport& n : r->nodes) EXPECT_EQ(n.integer, n.name != "depthwise");
}

TEST(Quantize, RefusesDataThatCannotCalibrate) {
  const auto none = quantize(bytes_of_text(model()), "", images(0));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
  const auto nan = quantize(bytes_of_text(model()), "", images(10, 3));
  ASSERT_FALSE(nan);
  EXPECT_EQ(nan.error().code, ErrorCode::kDataMismatch);
  EXPECT_NE(nan.error().text().find("3"), std::string::npos) << nan.error().text();
}

// Attention over 16 tokens of 32 numbers, in two heads.
constexpr std::string_view kAttention = R"(graph "attention" {
    opset 17
    input %x: float32[1,16,32]
    const %wq: float32[32,32] = random(1)
    const %wk: float32[32,32] = random(2)
    const %wv: float32[32,32] = random(3)
    const %wo: float32[32,8] = random(4)
    const %heads: int64[4] = [0, 16, 2, 16]
    const %flat: int64[3] = [0, 16, 32]
    const %factor: float32[] = 0.25
    %q0 = MatMul(%x, %wq) @q
    %k0 = MatMul(%x, %wk) @k
    %v0 = MatMul(%x, %wv) @v
    %q1 = Reshape(%q0, %heads)
    %k1 = Reshape(%k0, %heads)
    %v1 = Reshape(%v0, %heads)
    %q2 = Transpose(%q1) {perm=[0, 2, 1, 3]}
    %k2 = Transpose(%k1) {perm=[0, 2, 3, 1]}
    %v2 = Transpose(%v1) {perm=[0, 2, 1, 3]}
    %s = MatMul(%q2, %k2) @scores
    %f = Mul(%s, %factor)
    %p = Softmax(%f) {axis=-1}
    %o = MatMul(%p, %v2) @mixture
    %t = Transpose(%o) {perm=[0, 2, 1, 3]}
    %r = Reshape(%t, %flat)
    %y = MatMul(%r, %wo) @out
    output %y
  })";

std::string attention() {
  auto g = parse_graph(kAttention);
  EXPECT_TRUE(g) << g.error().text();
  return *export_onnx(*g);
}

SampleSource tokens(int count) {
  SampleSource source = images(count);
  source.next = [next = source.next]() -> Result<std::optional<SampleInputs>> {
    auto sample = next();
    if (!sample || !*sample) return sample;
    OwnedTensor& x = (**sample)["x"];
    auto values = std::make_shared<std::vector<float>>(16 * 32);
    for (std::size_t i = 0; i < values->size(); ++i)  // 192 numbers, in another order each time.
      (*values)[i] = static_cast<const float*>(x.data)[i * (i / 192 + 1) % 191] - 0.5f;
    x = {"float32", {1, 16, 32}, values->data(), values->size() * 4, values};
    return sample;
  };
  return source;
}

// The map of the DequantizeLinear before a side of a node.
std::pair<float, int> map_before(const Graph& g, std::string_view name, std::size_t side) {
  const Uses uses = g.uses();
  for (const Node& n : g.nodes) {
    if (n.name != name) continue;
    const std::int32_t made = uses.producer[static_cast<std::size_t>(n.in(side))];
    const Node& dq = g.nodes[static_cast<std::size_t>(made)];
    EXPECT_EQ(dq.op, "DequantizeLinear") << name;
    return {g.constant(dq.in(1))->values<float>()[0],
            g.constant(dq.in(2))->values<std::uint8_t>()[0]};
  }
  ADD_FAILURE() << "no node " << name;
  return {};
}

TEST(Quantize, ProductsOfActivationsAreIntegerOnTargetAny) {
  for (const int effort : {0, 1}) {
    QuantizeOptions options;
    options.effort = effort;
    const auto r = quantize(bytes_of_text(attention()), "", tokens(30), options);
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->integer_share, 1.0);
    EXPECT_GT(r->sqnr_db, 25);
    const auto g = import_onnx(bytes_of_text(r->model));
    ASSERT_TRUE(g) << g.error().text();
    EXPECT_EQ(map_before(*g, "scores", 1).second, 128);
    EXPECT_EQ(map_before(*g, "mixture", 1).second, 128);
    const auto [scale, zero] = map_before(*g, "mixture", 0);
    EXPECT_NEAR(scale, 1.0 / 255, 0.05 / 255);
    EXPECT_EQ(zero, 0);
  }
}

TEST(Quantize, ProductsOfActivationsStayFloatForTensorrtAndWhereTold) {
  QuantizeOptions options;
  options.effort = 0;
  options.keep_float = {"scores"};
  const auto r = quantize(bytes_of_text(attention()), "", tokens(12), options);
  ASSERT_TRUE(r) << r.error().text();
  for (const NodeReport& n : r->nodes) EXPECT_EQ(n.integer, n.name != "scores") << n.name;
  options.keep_float = {};
  options.target = "tensorrt";
  const auto t = quantize(bytes_of_text(attention()), "", tokens(12), options);
  ASSERT_TRUE(t) << t.error().text();
  for (const NodeReport& n : t->nodes) {
    const bool pair = n.name == "scores" || n.name == "mixture";
    EXPECT_EQ(n.integer, !pair) << n.name;
    if (pair) {
      EXPECT_EQ(n.reason, "both operands are activations");
    }
  }
  options.require_int8 = {"scores"};
  EXPECT_FALSE(quantize(bytes_of_text(attention()), "", tokens(12), options));
}

// What all keys have in common changes no softmax, but the codes of keys of about 300 tell them
// apart no longer. The product is a hundredth of the work, so it may stay float.
TEST(Quantize, LeavesProductsOfActivationsFloatWhereItPays) {
  std::string text(kAttention);
  const auto change = [&](std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  change("%k1 = Reshape(%k0", "%far = Add(%k0, %offset)\n    %k1 = Reshape(%far");
  change("%q0 = MatMul(%x,", R"(const %offset: float32[] = 300
    const %w1: float32[32,1024] = random(5)
    const %w2: float32[1024,32] = random(6)
    const %small: float32[] = 0.02
    %h = MatMul(%x, %w1) @up
    %g = MatMul(%h, %w2) @down
    %n = Mul(%g, %small)
    %q0 = MatMul(%n,)");
  auto g = parse_graph(text);
  ASSERT_TRUE(g) << g.error().text();
  const std::string file = *export_onnx(*g);
  const auto r = quantize(bytes_of_text(file), "", tokens(60), {});
  ASSERT_TRUE(r) << r.error().text();
  for (const NodeReport& n : r->nodes) {
    EXPECT_EQ(n.integer, n.name != "scores") << n.name << r->sqnr_db;
    if (!n.integer) {
      EXPECT_NE(n.reason.find("float pays"), std::string::npos) << n.reason;
    }
  }
}

TEST(Quantize, TellsHowFarEachStageIs) {
  std::map<std::string, std::vector<double>> told;
  QuantizeOptions options;
  options.progress = [&](const std::string& stage, double done) { told[stage].push_back(done); };
  const std::string bytes = model();
  SampleSource samples = images(20);
  samples.size = 20;
  ASSERT_TRUE(quantize(std::as_bytes(std::span(bytes)), "", samples, options));
  for (const char* stage : {"calibrate", "judge"}) {
    ASSERT_FALSE(told[stage].empty()) << stage;
    EXPECT_TRUE(std::is_sorted(told[stage].begin(), told[stage].end())) << stage;
    EXPECT_GT(told[stage][0], 0) << stage;
    EXPECT_EQ(told[stage].back(), 1) << stage;
  }
}

TEST(Quantize, StopsWhenCancelled) {
  std::atomic<bool> cancel = true;
  QuantizeOptions options;
  options.cancel = &cancel;
  const auto r = quantize(bytes_of_text(model()), "", images(10), options);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ErrorCode::kInterrupted);
}

class InFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("intact_quantize_" +
               std::to_string(std::hash<std::string>{}(
                   ::testing::UnitTest::GetInstance()->current_test_info()->name())));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& bytes) const {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::filesystem::path folder_;
};

using Verify = InFolder;
using Calibrate = InFolder;

TEST_F(Verify, NamesTheNodeWhoseWeightsChanged) {
  QuantizeOptions options;
  options.effort = 0;
  const auto r = quantize(bytes_of_text(model()), "", images(12), options);
  ASSERT_TRUE(r) << r.error().text();
  const auto good = verify(write("good.onnx", r->model));
  ASSERT_TRUE(good) << good.error().text();
  EXPECT_TRUE(good->same) << good->first_node;
  const std::atomic<bool> cancel{true};
  const auto stopped = verify(write("good.onnx", r->model), {}, &cancel);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);

  auto g = import_onnx(bytes_of_text(r->model));
  ASSERT_TRUE(g);
  for (Value& v : g->values)  // The pointwise weights: the only int8 constant of that shape.
    if (v.constant && v.constant->dtype() == Dtype::kInt8 &&
        v.constant->shape() == Shape{8, 8, 1, 1}) {
      Tensor changed = v.constant->clone();
      changed.mutable_values<std::int8_t>()[9] ^= 1;
      v.constant = changed;
    }
  const auto bad = verify(write("bad.onnx", *export_onnx(*g)));
  ASSERT_TRUE(bad) << bad.error().text();
  EXPECT_FALSE(bad->same);
  EXPECT_EQ(bad->first_node, "pointwise");
}

TEST_F(Calibrate, RangesOfAFileGiveTheModelThatTheDataGive) {
  const std::string path = write("net.onnx", model());
  QuantizeOptions options;
  options.effort = 0;
  options.verdict = false;
  const auto text = calibrate(path, images(12), options);
  ASSERT_TRUE(text) << text.error().text();
  const auto direct = quantize(path, images(12), options);
  ASSERT_TRUE(direct) << direct.error().text();
  options.calibration = write("ranges.cal", *text);
  const auto from_file = quantize(path, {}, options);
  ASSERT_TRUE(from_file) << from_file.error().text();
  // The same codes everywhere; only the biases are corrected where there are data.
  const auto a = run(direct->model, 77);
  const auto b = run(from_file->model, 77);
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 0.02f * std::abs(a[i]) + 0.02f);
}

// The sides of products of activations have lines like everything else; one without keeps its
// product float.
TEST_F(Calibrate, ProductsOfActivationsReadTheFileToo) {
  const std::string path = write("attention.onnx", attention());
  QuantizeOptions options;
  options.effort = 0;
  options.verdict = false;
  options.range = "minmax";
  std::string text = *calibrate(path, tokens(12), options);
  const auto direct = quantize(path, tokens(12), options);
  ASSERT_TRUE(direct) << direct.error().text();
  options.calibration = write("ranges.cal", text);
  const auto from_file = quantize(path, {}, options);
  ASSERT_TRUE(from_file) << from_file.error().text();
  for (const NodeReport& n : from_file->nodes) EXPECT_TRUE(n.integer) << n.name;
  const auto a = import_onnx(bytes_of_text(direct->model));
  const auto b = import_onnx(bytes_of_text(from_file->model));
  for (const char* node : {"scores", "mixture"})
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}})
      EXPECT_EQ(map_before(*a, node, side), map_before(*b, node, side)) << node << side;

  const auto line = text.find("\"k0\" minmax");
  ASSERT_NE(line, std::string::npos) << text;
  text.erase(line, text.find('\n', line) + 1 - line);
  options.calibration = write("ranges.cal", text);
  const auto without = quantize(path, {}, options);
  ASSERT_TRUE(without) << without.error().text();
  for (const NodeReport& n : without->nodes) EXPECT_EQ(n.integer, n.name != "scores") << n.name;
}

// What reads a tensor without a line stays float as if it had been asked to, fits included.
TEST_F(Calibrate, ATensorWithoutALineKeepsItsReaderFloatBesideData) {
  const std::string path = write("net.onnx", model());
  QuantizeOptions options;
  std::string text = *calibrate(path, images(24), options);
  options.calibration = write("ranges.cal", text);
  options.keep_float = {"conv1"};
  const auto asked = quantize(path, images(24), options);
  ASSERT_TRUE(asked) << asked.error().text();
  for (auto line = text.find("\"x\" "); line != std::string::npos; line = text.find("\"x\" ")) {
    const auto begin = text.rfind('\n', line) + 1;
    text.erase(begin, text.find('\n', line) + 1 - begin);
  }
  options.calibration = write("ranges.cal", text);
  options.keep_float = {};
  const auto without = quantize(path, images(24), options);
  ASSERT_TRUE(without) << without.error().text();
  for (const NodeReport& n : without->nodes) EXPECT_EQ(n.integer, n.name != "conv1") << n.name;
  EXPECT_EQ(run(without->model, 77), run(asked->model, 77));
}

// Two names of one value, which fusions make one: both are looked at.
TEST(Quantize, LooksAtValuesThatTurnsGiveSeveralNames) {
  const auto g = parse_graph(R"(graph "turns" {
    opset 13
    input %x: float32[1,3,8,8]
    const %w: float32[5,3,1,1] = random(1)
    %s = Softmax(%x) {axis=-1} @share
    %t = Transpose(%s) {perm=[0, 1, 3, 2]}
    %u = Transpose(%t) {perm=[0, 1, 3, 2]}
    %p = MatMul(%s, %t) @pair
    %y = Conv(%u, %w) @conv
    output %p
    output %y
  })");
  ASSERT_TRUE(g) << g.error().text();
  const auto r = quantize(bytes_of_text(*export_onnx(*g)), "", images(12));
  ASSERT_TRUE(r) << r.error().text();
  for (const NodeReport& n : r->nodes) EXPECT_TRUE(n.integer) << n.name;
}

}  // namespace
}  // namespace intact
