// Every row of elementwise_f32 against the scalar row (bytes), that one against double libm within
// the bounds of its header.
#include "kernels/elementwise_f32.h"

#include <fmt/format.h>

#include <bit>
#include <functional>

#include "kernels/f32_test_util.h"

namespace intact {
namespace {

struct Function {
  const char* name;
  UnaryF32 f;
  std::function<double(double)> exact;
  double ulps;                              // 0.5: correctly rounded.
  std::function<double(double)> unit = {};  // Magnitude whose ulp counts; default |y|.
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<Function> functions() {
  const auto clamp = [](double x, double lo, double hi) { return std::min(std::max(x, lo), hi); };
  const auto quarter = [](double x) { return std::fabs(x) / 4; };
  return {
      {"relu", {UnaryOp::kRelu}, [](double x) { return x < 0 ? 0 : x; }, 0.5},
      {"clip", {UnaryOp::kClip, -1.5f, 2.0f}, [=](double x) { return clamp(x, -1.5, 2); }, 0.5},
      {"leaky_relu",
       {UnaryOp::kLeakyRelu, 0.25f},
       [](double x) { return x < 0 ? .25 * x : x; },
       0.5},
      {"abs", {UnaryOp::kAbs}, [](double x) { return std::fabs(x); }, 0.5},
      {"neg", {UnaryOp::kNeg}, [](double x) { return -x; }, 0.5},
      {"floor", {UnaryOp::kFloor}, [](double x) { return std::floor(x); }, 0.5},
      {"ceil", {UnaryOp::kCeil}, [](double x) { return std::ceil(x); }, 0.5},
      {"round", {UnaryOp::kRound}, [](double x) { return std::nearbyint(x); }, 0.5},
      {"sqrt", {UnaryOp::kSqrt}, [](double x) { return std::sqrt(x); }, 0.5},
      {"reciprocal", {UnaryOp::kReciprocal}, [](double x) { return 1 / x; }, 0.5},
      {"sign", {UnaryOp::kSign}, [](double x) { return x > 0   ? 1
                                                       : x < 0 ? -1
                                                               : x; }, 0.5},
      {"exp", {UnaryOp::kExp}, [](double x) { return std::exp(x); }, 1.02},
      {"log", {UnaryOp::kLog}, [](double x) { return std::log(x); }, 1},
      {"erf", {UnaryOp::kErf}, [](double x) { return std::erf(x); }, 2},
      {"tanh", {UnaryOp::kTanh}, [](double x) { return std::tanh(x); }, 2},
      {"sigmoid", {UnaryOp::kSigmoid}, sigmoid, 2.5},
      {"silu",
       {UnaryOp::kSilu},
       [](double x) { return x * sigmoid(x); },
       4,
       [](double x) { return std::fabs(x) * 0x1p-126; }},
      {"gelu",
       {UnaryOp::kGelu},
       [](double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); },
       4,
       quarter},
      {"gelu_tanh",
       {UnaryOp::kGeluTanh},
       [](double x) {
         return x * sigmoid(2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x));
       },
       4,
       quarter},
      {"softplus",
       {UnaryOp::kSoftplus},
       [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); },
       2},
      {"elu",
       {UnaryOp::kElu, 0.7f},
       [](double x) { return x > 0 ? x : static_cast<double>(0.7f) * std::expm1(x); },
       3},
      {"hardsigmoid",
       {UnaryOp::kHardSigmoid, 0.2f, 0.5f},
       [=](double x) { return clamp(static_cast<double>(0.2f) * x + 0.5, 0, 1); },
       1,
       [](double) { return 1.0; }},
      {"hardswish",
       {UnaryOp::kHardSwish},
       [=](double x) { return x * clamp(x / 6 + 0.5, 0, 1); },
       3,
       [](double x) { return std::fabs(x) / 6; }},
      {"hardswish6",
       {UnaryOp::kHardSwish6},
       [=](double x) {
         const double product = x * clamp(x + 3, 0, 6);
         return product < 0x1p128 ? product / 6 : product * HUGE_VAL;
       },
       4,
       [](double x) { return std::fabs(x) / 6; }},
      {"sin", {UnaryOp::kSin}, [](double x) { return std::sin(x); }, 0.5000005},
      {"cos", {UnaryOp::kCos}, [](double x) { return std::cos(x); }, 0.5000005},
  };
}

// Every 16001st float, the special ones, and dense runs where functions bend.
std::vector<float> samples() {
  std::vector<float> x = {0.0f,   -0.0f,  kInfF,   -kInfF,         kNanF,
                          -kNanF, 1e-45f, -1e-45f, 1.17549435e-38f};
  for (std::uint64_t b = 0; b < 0x100000000u; b += 16001)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(b)));
  for (int i = -100000; i <= 100000; ++i) x.push_back(static_cast<float>(i) * 0x1.0123p-13f);
  for (int i = -110000; i <= 110000; ++i) x.push_back(static_cast<float>(i) * 0x1.0023p-10f);
  return x;
}

double ulp_of(double magnitude) {
  const auto f = static_cast<float>(std::fabs(magnitude));
  if (!(f < kInfF)) return 0x1p104;
  return static_cast<double>(std::nextafter(f, kInfF)) - static_cast<double>(f);
}

std::vector<float> apply(const ElementwiseF32Kernel& k, const UnaryF32& f,
                         const std::vector<float>& x) {
  std::vector<float> y(x.size());
  k.unary(f, x.data(), y.data(), static_cast<std::int64_t>(x.size()));
  return y;
}

TEST(UnaryF32, StaysWithinTheBoundsOfItsHeader) {
  const auto x = samples();
  for (const Function& f : functions()) {
    const auto y = apply(*rows_here<ElementwiseF32Kernel>().front(), f.f, x);
    double worst = 0, at = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto in = static_cast<double>(x[i]);
      const double want = f.exact(in);
      if (std::isnan(want) || std::isnan(y[i])) {
        // The limits at infinity of silu and gelu are products with zero in the formula.
        const bool limit = std::isinf(in) && (f.unit || f.f.op == UnaryOp::kSilu);
        if (!limit) {
          ASSERT_EQ(std::isnan(want), std::isnan(y[i])) << f.name << "(" << in << ") = " << y[i];
        }
        continue;
      }
      const auto nearest = static_cast<float>(want);
      if (y[i] == nearest) continue;
      double ulp = ulp_of(want);
      if (f.unit) ulp = std::max(ulp, ulp_of(f.unit(in)));
      // Beyond the largest float, one ulp more is infinity.
      const double got = std::isinf(y[i]) ? std::copysign(0x1p128, static_cast<double>(y[i]))
                                          : static_cast<double>(y[i]);
      const double error = std::fabs(got - want) / ulp;
      if (error > worst) worst = error, at = in;
    }
    EXPECT_LE(worst, f.ulps) << f.name << " at " << at;
    RecordProperty(f.name, fmt::format("{:.3f} ulp at {}", worst, at));
  }
}

TEST(UnaryF32, EveryRowGivesTheBytesOfTheScalarRow) {
  auto x = samples();
  for (const Function& f : functions()) {
    const auto rows = rows_here<ElementwiseF32Kernel>();
    const auto want = apply(*rows.back(), f.f, x);
    for (const ElementwiseF32Kernel* row : rows)
      expect_same_bytes(apply(*row, f.f, x), want, fmt::format("{} {}", row->name, f.name));
  }
}

TEST(UnaryF32, TouchesNothingBeyondItsArraysAndWorksInPlace) {
  for (const ElementwiseF32Kernel* row : rows_here<ElementwiseF32Kernel>()) {
    for (std::int64_t n = 0; n < 70; ++n) {
      Guarded<float> x(n), y(n);
      fill(x.span(), 5);
      row->unary({UnaryOp::kTanh}, x.data(), y.data(), n);
      row->unary({UnaryOp::kTanh}, x.data(), x.data(), n);
      expect_same_bytes(x.span(), y.span(), fmt::format("{} n {}", row->name, n));
    }
  }
}

constexpr BinaryOp kBinaryOps[] = {BinaryOp::kAdd, BinaryOp::kSub,  BinaryOp::kMul,
                                   BinaryOp::kDiv, BinaryOp::kMin,  BinaryOp::kMax,
                                   BinaryOp::kPow, BinaryOp::kPrelu};

// The definition of elementwise_f32.h, one element; add to div are single IEEE operations.
float one(BinaryOp op, float a, float b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
    case BinaryOp::kMin:
      return std::isnan(a) || std::isnan(b) ? kNanF : a < b ? a : b;
    case BinaryOp::kMax:
      return std::isnan(a) || std::isnan(b) ? kNanF : a > b ? a : b;
    case BinaryOp::kPow:
      return static_cast<float>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    case BinaryOp::kPrelu:
      return a < 0 ? a * b : a;
  }
  return 0.0f;
}

TEST(BinaryF32, EveryRowEqualsTheDefinitionForEveryBroadcast) {
  for (const ElementwiseF32Kernel* row : rows_here<ElementwiseF32Kernel>()) {
    for (const std::int64_t cols : {1, 4, 7, 8, 15, 16, 17, 35}) {
      for (const Inputs kind : {Inputs::kNormal, Inputs::kHard}) {
        for (int broadcast = 0; broadcast < 16; ++broadcast) {
          const std::int64_t rows = 3;
          const auto flag = [&](int bit) { return (broadcast >> bit & 1) != 0; };
          BinaryF32Args args{.op = BinaryOp::kAdd, .rows = rows, .cols = cols};
          args.a_col = flag(0), args.b_col = flag(1);
          args.a_row = flag(2) ? (args.a_col != 0 ? cols : 1) : 0;
          args.b_row = flag(3) ? (args.b_col != 0 ? cols + 2 : 1) : 0;
          args.y_row = cols + 1;
          Guarded<float> a((rows - 1) * args.a_row + (cols - 1) * args.a_col + 1);
          Guarded<float> b((rows - 1) * args.b_row + (cols - 1) * args.b_col + 1);
          Guarded<float> y((rows - 1) * args.y_row + cols);
          fill(a.span(), 11, kind);
          fill(b.span(), 12, kind);
          args.a = a.data(), args.b = b.data(), args.y = y.data();
          for (const BinaryOp op : kBinaryOps) {
            args.op = op;
            row->binary(args);
            for (std::int64_t r = 0; r < rows; ++r) {
              for (std::int64_t c = 0; c < cols; ++c) {
                const float want =
                    one(op, a[r * args.a_row + c * args.a_col], b[r * args.b_row + c * args.b_col]);
                ASSERT_EQ(bits_of(y[r * args.y_row + c]), bits_of(std::isnan(want) ? kNanF : want))
                    << row->name << " op " << static_cast<int>(op) << " cols " << cols;
              }
            }
          }
        }
      }
    }
  }
}

TEST(BinaryF32, PowOfTwoIsTheSquare) {
  const float x[] = {-3.1f, 0.1f, kInfF};
  const float two = 2.0f;
  for (const ElementwiseF32Kernel* row : rows_here<ElementwiseF32Kernel>()) {
    float y[3];
    row->binary(
        {.op = BinaryOp::kPow, .rows = 1, .cols = 3, .a = x, .b = &two, .b_col = 0, .y = y});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(y[i], x[i] * x[i]);
  }
}

}  // namespace
}  // namespace intact
