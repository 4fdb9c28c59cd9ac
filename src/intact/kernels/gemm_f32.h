// gemm_f32.h: float matrix product and implicit-GEMM convolution.
//
//   C[m, n] = clamp(s[m, n] + bias[n] + residual[m, n], lo, hi) (1) s[m, n] = fma chain over
//   ascending k of a[m, k] b[k, n], starting at +0                      (2)
//
// Every + in (1) is one rounded addition and is left out when its operand is absent. Vector lanes
// are outputs, never k, and K is never split, so the bytes depend neither on the ISA nor on the
// tile nor on how rows and panels are divided among threads. clamp keeps NaN: min(max(x, lo), hi)
// with max(x, lo) = lo > x ? lo : x. NaN is stored as 0x7fc00000.
//
// k runs over taps x k_per_tap. Strided A: row m is a + m * a_stride, and taps == 1. Indirect A:
// rows[tap * rows_stride + m] + row_offset points at the k_per_tap floats of that tap, see
// conv_rows.h (padding: a pointer to a row of zeros). A, bias, residual and C are never touched
// beyond their last element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/gemm_u8s8.h"  // GemmShape, kPanelCols, panels_of, padded_n.
#include "kernels/kernel_table.h"

namespace intact {

// Where B comes from: element (tap, k, n) is b[tap * tap_stride + k * k_stride + n * n_stride].
// Strides are in elements. [K, N] row-major: k_stride = N, n_stride = 1, tap_stride = k_per_tap *
// N.
struct GemmF32Source {
  const float* b = nullptr;
  std::ptrdiff_t tap_stride = 0;
  std::ptrdiff_t k_stride = 0;
  std::ptrdiff_t n_stride = 1;
};

// Bias, residual and clamp of (1). Also the epilogue of dwconv_f32 (rows are output pixels).
struct EpilogueF32 {
  const float* bias = nullptr;      // [N]; null: none.
  const float* residual = nullptr;  // Row m, column n: residual[m * residual_stride + n].
  std::ptrdiff_t residual_stride = 0;
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
};

struct GemmF32Args {
  GemmShape shape{};
  // A, one of the two:
  const float* a = nullptr;
  std::ptrdiff_t a_stride = 0;         // Elements from row to row.
  const float* const* rows = nullptr;  // Not null: indirect; a is ignored.
  std::ptrdiff_t rows_stride = 0;      // Pointers from one tap to the next.
  std::ptrdiff_t row_offset = 0;       // Elements added to each pointer: a group's first channel.
  const float* packed = nullptr;       // B from pack_b, 64-byte aligned.
  float* out = nullptr;                // Row m starts at out + m * out_stride.
  std::ptrdiff_t out_stride = 0;
  EpilogueF32 epilogue{};
  // The part to compute: rows [row_begin, row_end), columns of panels [panel_begin, panel_end).
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
  std::int64_t panel_begin = 0;
  std::int64_t panel_end = 0;
};

// Floats of packed B: panels of kPanelCols columns, [panel][k][kPanelCols], padding columns zero.
// The layout is the same on every ISA.
[[nodiscard]] constexpr std::int64_t packed_elems_f32(const GemmShape& shape) {
  return padded_n(shape.n) * shape.k();
}

struct GemmF32Kernel {
  std::string_view name;
  IsaLevel isa;
  std::int32_t tile_m;       // Rows of the register tile: split rows in multiples of it.
  std::int32_t tile_panels;  // Panels of the register tile: split panels in multiples of it.
  // Packs panels [panel_begin, panel_end); `packed` is the start of panel 0.
  void (*pack_b)(const GemmShape& shape, const GemmF32Source& source, std::int64_t panel_begin,
                 std::int64_t panel_end, float* packed);
  void (*run)(const GemmF32Args& args);
};

template <>
std::span<const GemmF32Kernel* const> kernel_rows<GemmF32Kernel>() noexcept;

}  // namespace intact
