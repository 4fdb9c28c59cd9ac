// rows_f32.h: float reductions, and the functions of a whole row built on them.
//
// The lane sum of x_0 .. x_{n-1}, the one order of addition on every ISA: 16 lanes start at +0,
// lane j takes x_j, x_{j+16}, x_{j+32}, ... in turn, then a tree folds the lanes:
//
//   for w = 8, 4, 2, 1:  lane[j] = lane[j] + lane[j + w]  for j < w (1)
//
// Products, maxima and minima use the same lanes (starting at 1, -inf, inf). NaN wins a maximum or
// minimum. NaN is stored as 0x7fc00000. Strides are in elements, y may be x, and nothing is read
// beyond a row's end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace intact {

enum class ReduceOp : std::uint8_t {
  kSum,
  kMean,   // lane sum / n
  kSumSq,  // lanes take fma(x, x, lane)
  kMax,
  kMin,
  kProd,
};

struct ReduceF32Args {
  ReduceOp op;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* x = nullptr;  // x[r * x_stride + c]
  std::ptrdiff_t x_stride = 0;
  float* y = nullptr;  // Contiguous.
};

// y = e / S with e_i = exp(x_i - max), S their lane sum; computed as e_i * (1 / S).
// log: y = (x_i - max) - log(S).
struct SoftmaxF32Args {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* x = nullptr;
  std::ptrdiff_t x_stride = 0;
  float* y = nullptr;
  std::ptrdiff_t y_stride = 0;
  bool log = false;
};

// y = (x - mean) * r * scale + bias, r = 1 / sqrt(V / n + eps), d = x - mean; evaluated as
// fma(d * r, scale, bias). mean is the lane sum in double by n, rounded to float: rows far from
// zero keep their variance. V is a lane sum as (1) but of eight lanes, x_i in lane i mod 8, and
// w = 4, 2, 1; a lane takes fma(d, d, lane). Without `center` mean is 0 (RMSNorm).
struct LayerNormF32Args {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* x = nullptr;
  std::ptrdiff_t x_stride = 0;
  float* y = nullptr;
  std::ptrdiff_t y_stride = 0;
  float eps = 1e-5f;
  const float* scale = nullptr;  // [cols]; null: 1.
  const float* bias = nullptr;   // [cols]; null: 0.
  bool center = true;
};

struct RowsF32Kernel {
  std::string_view name;
  IsaLevel isa;
  void (*reduce_last)(const ReduceF32Args& args);   // y[rows]: over the columns of each row.
  void (*reduce_first)(const ReduceF32Args& args);  // y[cols]: over the rows of each column.
  void (*softmax_last)(const SoftmaxF32Args& args);
  void (*softmax_first)(const SoftmaxF32Args& args);  // Over rows; equals softmax_last transposed.
  void (*layer_norm)(const LayerNormF32Args& args);
};

template <>
std::span<const RowsF32Kernel* const> kernel_rows<RowsF32Kernel>() noexcept;

}  // namespace intact
