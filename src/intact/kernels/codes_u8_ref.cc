// The definition of codes_u8, one element at a time.
#include <cmath>

#include "kernels/codes_u8.h"
#include "kernels/epilogue_ref.h"
#include "kernels/math_f32.inl.h"

namespace intact {
namespace {

void lut(const std::uint8_t* x, std::uint8_t* y, std::int64_t count, const std::uint8_t* table) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = table[x[i]];
}

void quantize(const float* x, std::int64_t rows, std::int64_t cols, const QuantParams& p,
              std::uint8_t* q) {
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    const std::int64_t k = p.per_col ? i % cols : 0;
    const float v = p.factor != nullptr ? x[i] * p.factor[i % cols] : x[i];
    const float f = std::isnan(v) ? 0.0f : v / p.scale[k];
    const CodeLimits limits{p.lo, p.hi, p.zero[k]};
    q[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(round_to_limits(f, limits)) +
                                     p.zero[k]);
  }
}

void quantize_cols(const QuantizeColsArgs& g) {
  const QuantParams p{.scale = g.scale, .zero = g.zero, .per_col = true};
  for (std::int64_t i = 0; i < g.rows; ++i)
    quantize(g.x + i * g.x_stride, 1, g.cols, p, g.y + i * g.y_row_bytes);
}

void quantize_planes(const QuantizePlanesArgs& g) {
  for (std::int64_t i = 0; i < g.count; ++i)
    for (std::int64_t c = 0; c < g.channels; ++c)
      quantize(g.x + c * g.plane + i, 1, 1,
               {.scale = &g.scale,
                .zero = &g.zero,
                .factor = g.factor == nullptr ? nullptr : g.factor + c},
               g.y + i * g.channels + c);
}

void dequantize(const std::uint8_t* q, std::int64_t rows, std::int64_t cols, const QuantParams& p,
                float* x) {
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    const std::int64_t k = p.per_col ? i % cols : 0;
    x[i] = static_cast<float>(q[i] - p.zero[k]) * p.scale[k];
  }
}

template <class Op>
void binary(const BinaryU8Args& g, Op op) {
  for (std::int64_t i = 0; i < g.rows; ++i)
    for (std::int64_t j = 0; j < g.cols; ++j) {
      const std::uint8_t* b = g.b_kind == Operand::kSame     ? g.b + i * g.b_row_bytes + j
                              : g.b_kind == Operand::kPerCol ? g.b + j
                                                             : g.b;
      const float f = op(g.a[i * g.a_row_bytes + j] - g.za, *b - g.zb);
      const auto code = static_cast<std::uint8_t>(
          static_cast<std::int32_t>(round_to_limits(f, g.codes)) + g.codes.zero);
      g.y[i * g.y_row_bytes + j] = g.lut != nullptr ? g.lut[code] : code;
    }
}

void add(const BinaryU8Args& g) {
  binary(g, [&](int a, int b) {
    return std::fma(static_cast<float>(a), g.ra, static_cast<float>(b) * g.rb);
  });
}

void mul(const BinaryU8Args& g) {
  binary(g, [&](int a, int b) { return static_cast<float>(a * b) * g.ra; });
}

void encode(const EncodeU8Args& g) {
  for (std::int64_t i = 0; i < g.rows; ++i)
    for (std::int64_t j = 0; j < g.cols; ++j) {
      const std::int64_t k = g.per_col ? j : 0;
      float f = std::fma(g.x[i * g.x_stride + j], g.a[k], g.c[k]);
      if (g.r != nullptr)
        f += static_cast<float>(g.r[i * g.r_row_bytes + j] - g.r_zero) * g.r_ratio;
      const float code = round_to_limits(std::isnan(f) ? 0.0f : f, g.codes);
      g.y[i * g.y_row_bytes + j] =
          static_cast<std::uint8_t>(static_cast<std::int32_t>(code) + g.codes.zero);
    }
}

// The sum as rows_f32.h adds: 16 lanes, then a tree. The exponential is the vocabulary's own.
void softmax(const SoftmaxU8Args& g) {
  using Math = MathF32<ScalarF32>;
  for (std::int64_t i = 0; i < g.rows; ++i) {
    float* x = g.x + i * g.x_stride;
    float max = -INFINITY;
    for (std::int64_t j = 0; j < g.cols; ++j) max = std::isnan(x[j]) || x[j] > max ? x[j] : max;
    float lanes[16] = {};
    for (std::int64_t j = 0; j < g.cols; ++j) {
      x[j] = Math::exp(x[j] - max);
      lanes[j % 16] += x[j];
    }
    for (int w = 8; w > 0; w /= 2)
      for (int j = 0; j < w; ++j) lanes[j] += lanes[j + w];
    const float k = 1.0f / (lanes[0] * g.scale);
    for (std::int64_t j = 0; j < g.cols; ++j) {
      const float f = x[j] * k;
      const float code = round_to_limits(std::isnan(f) ? 0.0f : f, {0, 255, g.zero});
      g.y[i * g.y_row_bytes + j] =
          static_cast<std::uint8_t>(static_cast<std::int32_t>(code) + g.zero);
    }
  }
}

float element(const ArithmeticOperand& o, std::int64_t row, std::int64_t col) {
  const std::int64_t at = row * o.row + (o.one ? 0 : col);
  return o.reals != nullptr ? o.reals[at] : static_cast<float>(o.codes[at] - o.zero) * o.scale;
}

float combine(ArithmeticStep::Op op, float v, float b) {
  switch (op) {
    case ArithmeticStep::Op::kAdd:
      return v + b;
    case ArithmeticStep::Op::kSub:
      return v - b;
    case ArithmeticStep::Op::kMul:
      return v * b;
    case ArithmeticStep::Op::kDiv:
      return v / b;
    case ArithmeticStep::Op::kRSub:
      return b - v;
    case ArithmeticStep::Op::kRDiv:
      return b / v;
  }
  return v;
}

void arithmetic(const ArithmeticArgs& g) {
  const QuantParams map{.scale = &g.scale, .zero = &g.zero};
  for (std::int64_t row = 0; row < g.rows; ++row)
    for (std::int64_t col = 0; col < g.cols; ++col) {
      float v = element(g.x, row, col);
      for (std::int64_t k = 0; k < g.count; ++k)
        v = combine(g.steps[k].op, v, element(g.steps[k].b, row, col));
      if (g.codes != nullptr)
        quantize(&v, 1, 1, map, g.codes + row * g.cols + col);
      else
        g.reals[row * g.cols + col] = v;
    }
}

void interleave(const std::uint8_t* x, std::ptrdiff_t plane, std::int64_t channels,
                std::int64_t count, std::uint8_t* y) {
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t c = 0; c < channels; ++c) y[i * channels + c] = x[c * plane + i];
}

constinit const CodesU8Kernel kCodesU8Ref = {.name = "codes_u8/ref",
                                             .isa = IsaLevel::kScalar,
                                             .lut = &lut,
                                             .quantize = &quantize,
                                             .quantize_cols = &quantize_cols,
                                             .quantize_planes = &quantize_planes,
                                             .dequantize = &dequantize,
                                             .add = &add,
                                             .mul = &mul,
                                             .encode = &encode,
                                             .arithmetic = &arithmetic,
                                             .softmax = &softmax,
                                             .interleave = &interleave};
}  // namespace

const CodesU8Kernel& codes_u8_ref() noexcept { return kCodesU8Ref; }

}  // namespace intact
