// codes_u8.h: element-wise work on codes, and the border between codes and real numbers.
//
//   quantize    q = clamp(rne(x / s) + z, lo, hi), IEEE division; NaN gives z clamped           (1)
//   dequantize  x = s (q - z), one rounding                                                     (2)
//   lut         y = table[x]
//   add         y = clamp(rne(fma(a - za, ra, (b - zb) rb)), lo - z, hi - z) + z                (3)
//   mul         y = clamp(rne(float((a - za) (b - zb)) ra), lo - z, hi - z) + z                 (4)
//   encode      y = clamp(rne(fma(x, a, c) + (r - zr) rr), lo - z, hi - z) + z                  (5)
//   softmax     y = clamp(rne(e (1 / (S s))) + z, 0, 255), e = exp(x - max), S their lane sum   (6)
//
// encode is (6) of numerics.md for reals: a and c are those of a map into steps of the output,
// taken in double; without r the sum is left out. NaN gives z clamped.
// softmax is that of rows_f32.h, over the columns, and a Q with scale s behind it; a row of NaN, or
// without a finite value, gives z.
// ra, rb are float32 of the ratio taken in double: s_a / s_y, s_b / s_y for add; s_a s_b / s_y for
// mul. Operands are viewed as [rows, cols], cols innermost; rows may be apart (views of concat).
// Inputs in codes may be read up to 64 bytes past the end of any row; float inputs and all outputs
// are touched exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/epilogue.h"
#include "kernels/kernel_table.h"

namespace intact {

// Scale and zero point of a tensor, or of each element of the last axis.
struct QuantParams {
  const float* scale = nullptr;        // One, or [cols].
  const std::int32_t* zero = nullptr;  // One, or [cols]; codes in [0, 255].
  bool per_col = false;
  std::int32_t lo = 0;  // quantize only.
  std::int32_t hi = 255;
  float inverse = 0;  // quantize only: exact_inverse(scale[0]), or 0 to divide.
  const float* factor =
      nullptr;  // quantize without per_col only: [cols], x becomes x factor first.
};

// How operand b of add and mul is laid out against a.
enum class Operand : std::uint8_t { kSame, kScalar, kPerCol };

struct BinaryU8Args {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const std::uint8_t* a = nullptr;
  std::ptrdiff_t a_row_bytes = 0;
  const std::uint8_t* b = nullptr;
  std::ptrdiff_t b_row_bytes = 0;  // kSame only.
  Operand b_kind = Operand::kSame;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_row_bytes = 0;
  std::int32_t za = 0, zb = 0;
  float ra = 0.0f, rb = 0.0f;
  CodeLimits codes;                   // Of the output.
  const std::uint8_t* lut = nullptr;  // [256] applied to y; null: identity.
};

struct EncodeU8Args {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* x = nullptr;
  std::ptrdiff_t x_stride = 0;  // Elements, row to row.
  const float* a = nullptr;     // One, or [cols].
  const float* c = nullptr;
  bool per_col = false;
  const std::uint8_t* r = nullptr;  // Null: no residual.
  std::ptrdiff_t r_row_bytes = 0;
  std::int32_t r_zero = 0;
  float r_ratio = 0.0f;
  CodeLimits codes;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_row_bytes = 0;
};

// quantize with a map a column, by multiplication, on rows that may be apart.
struct QuantizeColsArgs {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* x = nullptr;
  std::ptrdiff_t x_stride = 0;     // Elements, row to row.
  const float* scale = nullptr;    // [cols], like the next two.
  const float* inverse = nullptr;  // exact_inverse of the scale, not 0.
  const std::int32_t* zero = nullptr;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_row_bytes = 0;
};

struct SoftmaxU8Args {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  float* x = nullptr;           // Becomes e.
  std::ptrdiff_t x_stride = 0;  // Elements, row to row.
  float scale = 1.0f;           // In [2^-100, 2^100].
  std::int32_t zero = 0;        // In [0, 255].
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_row_bytes = 0;
};

// quantize with one map, of an image in planes: y[i * channels + c] is the code of
// x[c * plane + i], or of its product with factor[c].
struct QuantizePlanesArgs {
  const float* x = nullptr;
  std::ptrdiff_t plane = 0;   // Elements, plane to plane.
  std::int64_t channels = 1;  // At most kMaxPlanes.
  std::int64_t count = 0;
  float scale = 1.0f;
  float inverse = 0;  // exact_inverse(scale), or 0 to divide.
  std::int32_t zero = 0;
  const float* factor = nullptr;  // [channels], or null.
  std::uint8_t* y = nullptr;      // [count * channels]
};
constexpr std::int64_t kMaxPlanes = 4;

// What an element of x, or of an operand, is read from; past the end of codes as above.
struct ArithmeticOperand {
  const float* reals = nullptr;         // One of the two:
  const std::uint8_t* codes = nullptr;  // codes are read as reals, (2).
  float scale = 1.0f;
  std::int32_t zero = 0;
  std::ptrdiff_t row = 0;  // Elements, row to row; 0: all rows read the same.
  bool one = false;        // All columns read the first element.
};
struct ArithmeticStep {
  // Of v and the operand b; kRSub and kRDiv are b - v and b / v.
  enum class Op : std::uint8_t { kAdd, kSub, kMul, kDiv, kRSub, kRDiv } op;
  ArithmeticOperand b;
};
// Sums and products in one pass: v = x, then v = op(v, b) for each step, each rounded to float32;
// y = v, or its code (1).
struct ArithmeticArgs {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  ArithmeticOperand x;
  const ArithmeticStep* steps = nullptr;
  std::int64_t count = 0;  // Of steps.
  float* reals = nullptr;  // One of the two: y, [rows, cols].
  std::uint8_t* codes = nullptr;
  float scale = 1.0f;  // Of y's codes, like the next two.
  float inverse = 0;   // exact_inverse(scale), or 0 to divide.
  std::int32_t zero = 0;
};

struct CodesU8Kernel {
  std::string_view name;
  IsaLevel isa;
  // y[i] = table[x[i]]; x and y may be the same memory.
  void (*lut)(const std::uint8_t* x, std::uint8_t* y, std::int64_t count,
              const std::uint8_t* table);
  void (*quantize)(const float* x, std::int64_t rows, std::int64_t cols, const QuantParams& p,
                   std::uint8_t* q);
  void (*quantize_cols)(const QuantizeColsArgs& args);
  void (*quantize_planes)(const QuantizePlanesArgs& args);
  void (*dequantize)(const std::uint8_t* q, std::int64_t rows, std::int64_t cols,
                     const QuantParams& p, float* x);
  void (*add)(const BinaryU8Args& args);
  void (*mul)(const BinaryU8Args& args);
  void (*encode)(const EncodeU8Args& args);
  void (*arithmetic)(const ArithmeticArgs& args);
  void (*softmax)(const SoftmaxU8Args& args);
  // y[i * channels + c] = x[c * plane + i] for i < count; x may be read 64 bytes past each plane.
  void (*interleave)(const std::uint8_t* x, std::ptrdiff_t plane, std::int64_t channels,
                     std::int64_t count, std::uint8_t* y);
};

template <>
std::span<const CodesU8Kernel* const> kernel_rows<CodesU8Kernel>() noexcept;
const CodesU8Kernel& codes_u8_ref() noexcept;  // The definition.

}  // namespace intact
