// gemm_u8s8.h: integer matrix product and implicit-GEMM convolution.
//
//   acc[m, n] = bias[n] + sum_k (a[m, k] - za[m]) (b[k, n] - zb[n]),   C = epilogue(acc) (1)
//
//   A: [M, K] u8      B: [K, N] s8, or u8 shifted by 128 when packed      C: [M, N], see epilogue.h
//
// k runs over taps x k_per_tap. Strided A: row m, tap 0 is a + m * a_row_bytes, and taps == 1.
// Indirect A: rows[tap * rows_stride + m] points at the k_per_tap bytes of that tap: a
// channels-last convolution whose taps are kernel positions, whose padding is a pointer to a line
// of za codes. k_per_tap needs no alignment. A may be read up to 64 bytes past the end of any of
// its segments.
//
// Partial sums are modulo 2^32, so the result is exact when |acc| < 2^31: fits_int32 proves it per
// channel. Expanding (1), with colsum[n] = sum_k (b[k, n] - zb[n]):
//
//   acc = sum_k a b' + init[n] - za[m] colsum[n] - zb'[n] sum_k a                               (2)
//
// where b', zb' are the packed values (shifted by 128 if B is u8) and a tensor-wide za sits in
// init. zb = 0 costs nothing. The last row, gemm_u8s8/int64, keeps (1) in int64 for channels that
// fail the proof and is the definition that every other row must equal (gemm_u8s8_ref.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/epilogue.h"
#include "kernels/kernel_table.h"

namespace intact {

// The shape of A's rows; fixes the packed layout of B.
struct GemmShape {
  std::int64_t n = 0;
  std::int64_t taps = 1;
  std::int64_t k_per_tap = 0;
  [[nodiscard]] constexpr std::int64_t k() const { return taps * k_per_tap; }
};

// Where B comes from: element (tap, k, n) is b[tap * tap_bytes + k * k_bytes + n * n_bytes].
struct GemmBSource {
  const void* b = nullptr;
  bool is_unsigned = false;  // u8 instead of s8.
  std::ptrdiff_t tap_bytes = 0;
  std::ptrdiff_t k_bytes = 0;
  std::ptrdiff_t n_bytes = 0;
  const std::int32_t* zb = nullptr;  // [N] in B's own type's codes; null: zb_all for every column.
  std::int32_t zb_all = 0;
};

// What packing yields beside the bytes; arrays of padded_n(n) elements, any may be null but colsum.
struct GemmBStats {
  std::int32_t* colsum = nullptr;   // sum_k (b - zb); 0 in padding columns.
  std::int32_t* sum_abs = nullptr;  // sum_k |b - zb|, for fits_int32.
  std::int32_t* zb = nullptr;       // zb' as the kernel wants it (after the shift).
};

// B made ready for one kernel row. All arrays have padded_n(n) elements.
struct GemmB {
  const std::int8_t* packed = nullptr;
  const std::int32_t* init = nullptr;    // From the row's make_init.
  const std::int32_t* colsum = nullptr;  // Needed with za_rows, and always by the int64 row.
  const std::int32_t* zb = nullptr;      // zb'; null when every zb' is 0.
  const std::int32_t* bias = nullptr;    // Read by the int64 row only; null: 0.
  std::int32_t za = 0;                   // Read by the int64 row only.
};

struct GemmU8S8Args {
  GemmShape shape;
  // A, one of the two:
  const std::uint8_t* a = nullptr;
  std::ptrdiff_t a_row_bytes = 0;
  const std::uint8_t* const* rows = nullptr;  // Not null: indirect; a is ignored.
  std::ptrdiff_t rows_stride = 0;             // Pointers from one tap to the next.
  const std::uint8_t* za_rows = nullptr;      // [M] za of each row; null: za is folded in b.init.
  GemmB b;
  void* out = nullptr;  // Row m starts at out + m * out_row_bytes; column 0 is channel 0.
  std::ptrdiff_t out_row_bytes = 0;
  Epilogue epilogue;
  // The part to compute: rows [row_begin, row_end), columns of panels [panel_begin, panel_end).
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
  std::int64_t panel_begin = 0;
  std::int64_t panel_end = 0;
  std::byte* scratch = nullptr;  // scratch_bytes(shape), 64-byte aligned, one a thread.
};

struct GemmU8S8Kernel {
  std::string_view name;
  IsaLevel isa;
  std::int32_t tile_m;       // Rows of the register tile: split rows in multiples of it.
  std::int32_t tile_panels;  // Panels of the register tile: split panels in multiples of it.
  // Bytes of packed B, a multiple of 64; the kernel needs them 64-byte aligned.
  std::size_t (*packed_bytes)(const GemmShape& shape);
  // Packs panels [panel_begin, panel_end) of B and their part of the statistics.
  void (*pack_b)(const GemmShape& shape, const GemmBSource& source, std::int64_t panel_begin,
                 std::int64_t panel_end, std::int8_t* packed, const GemmBStats& stats);
  // init[n] = bias[n] - za * colsum[n] plus the row's own constant, modulo 2^32; padding is 0.
  // With za_rows pass za = 0. bias may be null.
  void (*make_init)(const GemmShape& shape, const std::int32_t* bias, std::int32_t za,
                    const std::int32_t* colsum, std::int32_t* init);
  std::size_t (*scratch_bytes)(const GemmShape& shape);
  void (*run)(const GemmU8S8Args& args);
};

[[nodiscard]] constexpr std::int64_t panels_of(std::int64_t n) {
  return (n + kPanelCols - 1) / kPanelCols;
}
[[nodiscard]] constexpr std::int64_t padded_n(std::int64_t n) { return panels_of(n) * kPanelCols; }

// Returns true when a channel's accumulator is proven below 2^31: sum_abs max(za, 255 - za) +
// |bias|. Rows with their own za pass any_za = true (the factor is then 255).
[[nodiscard]] constexpr bool fits_int32(std::int32_t sum_abs, std::int32_t za, std::int64_t bias,
                                        bool any_za = false) {
  const std::int64_t reach = any_za ? 255 : (za > 255 - za ? za : 255 - za);
  return sum_abs * reach + (bias < 0 ? -bias : bias) < (std::int64_t{1} << 31);
}

// The rows, best first. The int64 row is not among them: it is asked for by name.
template <>
std::span<const GemmU8S8Kernel* const> kernel_rows<GemmU8S8Kernel>() noexcept;
const GemmU8S8Kernel& gemm_u8s8_int64() noexcept;

}  // namespace intact
