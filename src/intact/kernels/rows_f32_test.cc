// Every row of rows_f32 against the scalar row (bytes), that one against sums in double.
#include "kernels/rows_f32.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/f32_test_util.h"
#include "kernels/transpose.h"

namespace intact {
namespace {

constexpr std::int64_t kSizes[] = {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257};
constexpr ReduceOp kOps[] = {ReduceOp::kSum, ReduceOp::kMean, ReduceOp::kSumSq,
                             ReduceOp::kMax, ReduceOp::kMin,  ReduceOp::kProd};

struct Matrix {
  Matrix(std::int64_t rows_in, std::int64_t cols_in, Inputs kind)
      : rows(rows_in), cols(cols_in), stride(cols + 3), x((rows - 1) * stride + cols) {
    fill(x.span(), static_cast<std::uint32_t>(rows * 1000 + cols), kind);
  }
  std::int64_t rows, cols;
  std::ptrdiff_t stride;
  Guarded<float> x;
};

std::vector<float> reduce(const RowsF32Kernel& k, ReduceOp op, const Matrix& m, bool last) {
  Guarded<float> y(last ? m.rows : m.cols);
  const ReduceF32Args args{.op = op,
                           .rows = m.rows,
                           .cols = m.cols,
                           .x = m.x.data(),
                           .x_stride = m.stride,
                           .y = y.data()};
  (last ? k.reduce_last : k.reduce_first)(args);
  return {y.span().begin(), y.span().end()};
}

TEST(RowsF32, ReductionsGiveTheBytesOfTheScalarRow) {
  const auto rows = rows_here<RowsF32Kernel>();
  for (const Inputs kind : {Inputs::kNormal, Inputs::kHard}) {
    for (const std::int64_t n : kSizes) {
      for (const std::int64_t c : {1, 5, 16, 19}) {
        const Matrix last(c, n, kind), first(n, c, kind);
        for (const ReduceOp op : kOps) {
          for (const RowsF32Kernel* row : rows) {
            const auto what =
                fmt::format("{} op {} n {} c {}", row->name, static_cast<int>(op), n, c);
            expect_same_bytes(reduce(*row, op, last, true), reduce(*rows.back(), op, last, true),
                              what);
            expect_same_bytes(reduce(*row, op, first, false),
                              reduce(*rows.back(), op, first, false), what);
          }
        }
      }
    }
  }
}

// The order of addition as rows_f32.h writes it, in float.
float lane_sum(std::span<const float> x) {
  float lane[16] = {};
  for (std::size_t i = 0; i < x.size(); ++i) lane[i % 16] = lane[i % 16] + x[i];
  for (std::size_t w = 8; w >= 1; w /= 2)
    for (std::size_t j = 0; j < w; ++j) lane[j] = lane[j] + lane[j + w];
  return lane[0];
}

TEST(RowsF32, SumsInTheDocumentedOrder) {
  for (const RowsF32Kernel* row : rows_here<RowsF32Kernel>()) {
    for (const std::int64_t n : kSizes) {
      Matrix m(1, n, Inputs::kNormal);
      const float want = lane_sum(m.x.span());
      EXPECT_EQ(reduce(*row, ReduceOp::kSum, m, true)[0], want) << row->name << " n " << n;
      m.rows = n, m.cols = 1, m.stride = 1;
      EXPECT_EQ(reduce(*row, ReduceOp::kSum, m, false)[0], want) << row->name << " n " << n;
    }
  }
}

TEST(RowsF32, ReductionsAreNearTheExactOnes) {
  const RowsF32Kernel& k = *rows_here<RowsF32Kernel>().back();
  for (const std::int64_t n : kSizes) {
    const Matrix m(1, n, Inputs::kNormal);
    double sum = 0, magnitude = 0, squares = 0, product = 1;
    float max = -kInfF, min = kInfF;
    for (const float v : std::span(m.x.data(), static_cast<std::size_t>(n))) {
      const auto d = static_cast<double>(v);
      sum += d, magnitude += std::fabs(d), squares += d * d, product *= d;
      max = std::max(max, v), min = std::min(min, v);
    }
    // A rounding for each of the n / 16 steps of a lane and the 4 of the tree.
    const double eps = (static_cast<double>(n) / 16 + 5) * 0x1p-24;
    EXPECT_NEAR(static_cast<double>(reduce(k, ReduceOp::kSum, m, true)[0]), sum, eps * magnitude);
    EXPECT_NEAR(static_cast<double>(reduce(k, ReduceOp::kMean, m, true)[0]),
                sum / static_cast<double>(n), eps * magnitude / static_cast<double>(n) + 1e-9);
    EXPECT_NEAR(static_cast<double>(reduce(k, ReduceOp::kSumSq, m, true)[0]), squares,
                eps * squares);
    EXPECT_NEAR(static_cast<double>(reduce(k, ReduceOp::kProd, m, true)[0]), product,
                static_cast<double>(n) * 0x1p-24 * std::fabs(product) + 1e-38);
    EXPECT_EQ(reduce(k, ReduceOp::kMax, m, true)[0], max);
    EXPECT_EQ(reduce(k, ReduceOp::kMin, m, true)[0], min);
  }
}

TEST(RowsF32, NanWinsAMaximumWhereverItStands) {
  for (const RowsF32Kernel* row : rows_here<RowsF32Kernel>()) {
    for (std::int64_t at = 0; at < 40; ++at) {
      Matrix m(1, 40, Inputs::kNormal);
      m.x[at] = -kNanF;
      EXPECT_EQ(bits_of(reduce(*row, ReduceOp::kMax, m, true)[0]), 0x7fc00000u);
      EXPECT_EQ(bits_of(reduce(*row, ReduceOp::kMin, m, true)[0]), 0x7fc00000u);
      m.rows = 40, m.cols = 1, m.stride = 1;
      EXPECT_EQ(bits_of(reduce(*row, ReduceOp::kMax, m, false)[0]), 0x7fc00000u);
    }
  }
}

// Rows in place, without gaps: what attention does.
std::vector<float> softmax_in_place(const RowsF32Kernel& k, const Matrix& m, bool log) {
  Guarded<float> y(m.rows * m.cols);
  for (std::int64_t r = 0; r < m.rows; ++r)
    std::copy_n(m.x.data() + r * m.stride, m.cols, y.data() + r * m.cols);
  k.softmax_last({m.rows, m.cols, y.data(), m.cols, y.data(), m.cols, log});
  return {y.span().begin(), y.span().end()};
}

std::vector<float> softmax(const RowsF32Kernel& k, const Matrix& m, bool log, bool last) {
  Guarded<float> y(m.rows * m.cols);
  const SoftmaxF32Args args{.rows = m.rows,
                            .cols = m.cols,
                            .x = m.x.data(),
                            .x_stride = m.stride,
                            .y = y.data(),
                            .y_stride = m.cols,
                            .log = log};
  (last ? k.softmax_last : k.softmax_first)(args);
  return {y.span().begin(), y.span().end()};
}

TEST(RowsF32, SoftmaxGivesTheBytesOfTheScalarRowAlongEitherAxis) {
  const auto rows = rows_here<RowsF32Kernel>();
  for (const Inputs kind : {Inputs::kNormal, Inputs::kHard}) {
    for (const std::int64_t n : kSizes) {
      const Matrix m(11, n, kind);
      Matrix t(n, 11, kind);
      transpose_f32(m.x.data(), m.stride, 11, n, t.x.data(), t.stride);
      for (const bool log : {false, true}) {
        const auto want = softmax(*rows.back(), m, log, true);
        std::vector<float> want_t(want.size());
        transpose_f32(want.data(), n, 11, n, want_t.data(), 11);
        for (const RowsF32Kernel* row : rows) {
          const auto what = fmt::format("{} n {} log {}", row->name, n, log);
          expect_same_bytes(softmax(*row, m, log, true), want, what + " last");
          expect_same_bytes(softmax_in_place(*row, m, log), want, what + " in place");
          expect_same_bytes(softmax(*row, t, log, false), want_t, what + " first");
        }
      }
    }
  }
}

TEST(RowsF32, SoftmaxIsNearTheExactOne) {
  const RowsF32Kernel& k = *rows_here<RowsF32Kernel>().back();
  for (const std::int64_t n : kSizes) {
    const Matrix m(1, n, Inputs::kNormal);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(m.x[i]));
    const auto y = softmax(k, m, false, true), log_y = softmax(k, m, true, true);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto x = static_cast<double>(m.x[i]);
      const double exact = std::exp(x) / sum;
      // exp of a rounded difference up to 8 (half an ulp of 8 and one of the result), lanes and
      // tree, reciprocal, product.
      EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(i)]), exact,
                  (16 + static_cast<double>(n) / 16 + 8) * 0x1p-24 * exact);
      EXPECT_NEAR(static_cast<double>(log_y[static_cast<std::size_t>(i)]), x - std::log(sum),
                  (32 + static_cast<double>(n) / 16) * 0x1p-24);
    }
  }
}

std::vector<float> layer_norm(const RowsF32Kernel& k, const Matrix& m, const float* scale,
                              const float* bias, bool center) {
  Guarded<float> y(m.rows * m.cols);
  k.layer_norm({.rows = m.rows,
                .cols = m.cols,
                .x = m.x.data(),
                .x_stride = m.stride,
                .y = y.data(),
                .y_stride = m.cols,
                .eps = 1e-5f,
                .scale = scale,
                .bias = bias,
                .center = center});
  return {y.span().begin(), y.span().end()};
}

TEST(RowsF32, LayerNormGivesTheBytesOfTheScalarRow) {
  const auto rows = rows_here<RowsF32Kernel>();
  for (const Inputs kind : {Inputs::kNormal, Inputs::kHard}) {
    for (const std::int64_t n : kSizes) {
      const Matrix m(7, n, kind);
      Guarded<float> scale(n), bias(n);
      fill(scale.span(), 7);
      fill(bias.span(), 8);
      for (const RowsF32Kernel* row : rows) {
        for (const bool center : {true, false}) {
          const auto what = fmt::format("{} n {} center {}", row->name, n, center);
          expect_same_bytes(layer_norm(*row, m, scale.data(), bias.data(), center),
                            layer_norm(*rows.back(), m, scale.data(), bias.data(), center), what);
          expect_same_bytes(layer_norm(*row, m, nullptr, nullptr, center),
                            layer_norm(*rows.back(), m, nullptr, nullptr, center), what);
        }
      }
    }
  }
}

// One row as rows_f32.h writes it.
std::vector<float> documented_layer_norm(std::span<const float> x, std::span<const float> scale,
                                         std::span<const float> bias) {
  const auto n = static_cast<float>(x.size());
  double sums[16] = {};
  for (std::size_t i = 0; i < x.size(); ++i) sums[i % 16] += static_cast<double>(x[i]);
  for (std::size_t w = 8; w >= 1; w /= 2)
    for (std::size_t j = 0; j < w; ++j) sums[j] += sums[j + w];
  const auto mean = static_cast<float>(sums[0] / static_cast<double>(x.size()));
  float lane[8] = {};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float d = x[i] - mean;
    lane[i % 8] = std::fma(d, d, lane[i % 8]);
  }
  for (std::size_t w = 4; w >= 1; w /= 2)
    for (std::size_t j = 0; j < w; ++j) lane[j] = lane[j] + lane[j + w];
  const float variance = lane[0] / n;
  const float r = 1.0f / std::sqrt(variance + 1e-5f);
  std::vector<float> y;
  for (std::size_t i = 0; i < x.size(); ++i)
    y.push_back(std::fma((x[i] - mean) * r, scale[i], bias[i]));
  return y;
}

TEST(RowsF32, LayerNormSumsInTheDocumentedOrder) {
  for (const std::int64_t n : kSizes) {
    const Matrix m(7, n, Inputs::kNormal);
    Guarded<float> scale(n), bias(n);
    fill(scale.span(), 7);
    fill(bias.span(), 8);
    std::vector<float> want;
    for (std::int64_t r = 0; r < m.rows; ++r) {
      const auto row = documented_layer_norm(
          {m.x.data() + r * m.stride, static_cast<std::size_t>(n)}, scale.span(), bias.span());
      want.insert(want.end(), row.begin(), row.end());
    }
    for (const RowsF32Kernel* row : rows_here<RowsF32Kernel>())
      expect_same_bytes(layer_norm(*row, m, scale.data(), bias.data(), true), want,
                        fmt::format("{} n {}", row->name, n));
  }
}

TEST(RowsF32, LayerNormIsNearTheExactOne) {
  const RowsF32Kernel& k = *rows_here<RowsF32Kernel>().back();
  // Far from zero it is the mean that decides: one rounding of 2^-25 of it, and of d no more.
  for (const auto& [n, offset] : {std::pair{16, 0.0f}, {100, 0.0f}, {257, 0.0f}, {257, 3000.0f}}) {
    Matrix m(1, n, Inputs::kNormal);
    for (float& v : m.x.span()) v += offset;
    double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += static_cast<double>(m.x[i]);
    mean /= static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i)
      variance += std::pow(static_cast<double>(m.x[i]) - mean, 2) / static_cast<double>(n);
    const auto y = layer_norm(k, m, nullptr, nullptr, true);
    for (std::int64_t i = 0; i < n; ++i) {
      const double exact = (static_cast<double>(m.x[i]) - mean) / std::sqrt(variance + 1e-5);
      // |x - mean| and |y| are below 6: a sum of n / 8 + 3 roundings, then six more.
      EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(i)]), exact,
                  6 * (static_cast<double>(n) / 8 + 12) * 0x1p-24 +
                      static_cast<double>(offset) / std::sqrt(variance) * 0x1p-24);
    }
  }
}

TEST(Transpose, MovesEveryElementOfEveryShape) {
  for (const std::int64_t r : {1, 3, 15, 16, 17, 40}) {
    for (const std::int64_t c : {1, 2, 16, 31, 33}) {
      const Matrix m(r, c, Inputs::kNormal);
      Guarded<float> y((c - 1) * (r + 2) + r);
      transpose_f32(m.x.data(), m.stride, r, c, y.data(), r + 2);
      Guarded<std::uint8_t> b(r * c), t(r * c);
      for (std::int64_t i = 0; i < r * c; ++i) b[i] = static_cast<std::uint8_t>(i * 7);
      transpose_u8(b.data(), c, r, c, t.data(), r);
      for (std::int64_t i = 0; i < r; ++i) {
        for (std::int64_t j = 0; j < c; ++j) {
          ASSERT_EQ(y[j * (r + 2) + i], m.x[i * m.stride + j]);
          ASSERT_EQ(t[j * r + i], b[i * c + j]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace intact
