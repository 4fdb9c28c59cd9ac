// elementwise_f32.h: float functions of one and of two arrays, element by element.
//
// Same bytes on every ISA: polynomials from multiply, fma and add (math_f32.inl.h), IEEE division
// and square root, no estimates, no libm. NaN results are stored as 0x7fc00000, whatever the
// operand's payload (a sign-of-NaN difference between x86 and ARM would otherwise show).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace intact {

// Largest error against the exact function, in units of the last place of a float, found by the
// tests over dense samples of all floats; "exact" is correctly rounded.
enum class UnaryOp : std::uint8_t {
  kRelu,        // max(x, 0): 0 > x ? 0 : x                                        exact
  kClip,        // min(max(x, alpha), beta)                                        exact
  kLeakyRelu,   // x >= 0 ? x : alpha x                                            exact
  kAbs,         //                                                                 exact
  kNeg,         //                                                                 exact
  kFloor,       //                                                                 exact
  kCeil,        //                                                                 exact
  kRound,       // half to even                                                    exact
  kSqrt,        //                                                                 exact
  kReciprocal,  // 1 / x                                                           exact
  kSign,  // -1, 1, or x itself when 0                                                        exact
  kExp,   //                                                                 1.02 ulp
  kLog,   //                                                                 1 ulp
  kErf,   //                                                                 2 ulp
  kTanh,  //                                                                 2 ulp
  kSigmoid,      // 1 / (1 + exp(-x))                                               2.5 ulp
  kSilu,         // x sigmoid(x); NaN at -inf            4 ulp of max(|y|, |x| 2^-126)
  kGelu,         // 0.5 x (1 + erf(x / sqrt 2))     4 ulp of max(|y|, |x| / 4), the formula's own
  kGeluTanh,     // 0.5 x (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3)        as kGelu
  kSoftplus,     // log(1 + exp(x))                                                 2 ulp
  kElu,          // x > 0 ? x : alpha (exp(x) - 1)                                  3 ulp
  kHardSigmoid,  // min(max(alpha x + beta, 0), 1), each operation rounded          1 ulp of 1
  kHardSwish,    // x HardSigmoid(x), alpha = 1 / 6, beta = 1 / 2                   3 ulp of |x| / 6
  kHardSwish6,   // x min(max(x + 3, 0), 6) / 6, each operation rounded      4 ulp of |x| / 6
  kSin,          // through double (double_math.h)                                  0.5000005 ulp
  kCos,          // through double                                                  0.5000005 ulp
};

// Functions that models put behind a product: the epilogues of integer kernels know them.
inline constexpr std::array kActivations{
    UnaryOp::kLeakyRelu,   UnaryOp::kTanh,      UnaryOp::kSigmoid,    UnaryOp::kSilu,
    UnaryOp::kGelu,        UnaryOp::kGeluTanh,  UnaryOp::kSoftplus,   UnaryOp::kElu,
    UnaryOp::kHardSigmoid, UnaryOp::kHardSwish, UnaryOp::kHardSwish6,
};
constexpr bool is_activation(UnaryOp op) noexcept {
  return std::find(kActivations.begin(), kActivations.end(), op) != kActivations.end();
}

constexpr bool is_hard_swish(UnaryOp op) noexcept {
  return op == UnaryOp::kHardSwish || op == UnaryOp::kHardSwish6;
}
// Those of sums and products alone: engines that compute them in float agree in every bit.
constexpr bool is_piecewise(UnaryOp op) noexcept {
  return op == UnaryOp::kLeakyRelu || op == UnaryOp::kHardSigmoid || is_hard_swish(op);
}

struct UnaryF32 {
  UnaryOp op;
  float alpha = 0.0f;
  float beta = 0.0f;
};

enum class BinaryOp : std::uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,    // a < b ? a : b; NaN when either is NaN
  kMax,    // a > b ? a : b; NaN when either is NaN
  kPow,    // a^b with IEEE 754 pow's special cases; through double: 0.5000005 ulp
  kPrelu,  // a >= 0 ? a : a b
};

// y[r, c] = op(a[r * a_row + c * a_col], b[r * b_row + c * b_col]), strides in elements.
// A column stride is 1 or 0, a row stride anything: (n, 1) a matrix, (0, 1) one row for all,
// (1, 0) one value a row, (0, 0) a scalar. y may be a or b when their strides agree.
struct BinaryF32Args {
  BinaryOp op;
  std::int64_t rows = 1;
  std::int64_t cols = 0;
  const float* a = nullptr;
  std::ptrdiff_t a_row = 0, a_col = 1;
  const float* b = nullptr;
  std::ptrdiff_t b_row = 0, b_col = 1;
  float* y = nullptr;
  std::ptrdiff_t y_row = 0;
};

struct ElementwiseF32Kernel {
  std::string_view name;
  IsaLevel isa;
  // y[i] = op(x[i]) for i < n. y may be x.
  void (*unary)(const UnaryF32& f, const float* x, float* y, std::int64_t n);
  void (*binary)(const BinaryF32Args& args);
};

template <>
std::span<const ElementwiseF32Kernel* const> kernel_rows<ElementwiseF32Kernel>() noexcept;

}  // namespace intact
