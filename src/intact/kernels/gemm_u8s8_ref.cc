// The definition of gemm_u8s8, and the row for channels whose accumulator may pass 2^31: three
// loops, int64 sums. B is kept as int16 differences b - zb, [N][K].
#include <cstring>

#include "kernels/epilogue_ref.h"
#include "kernels/gemm_u8s8.h"

namespace intact {
namespace {

std::size_t packed_bytes(const GemmShape& s) {
  return static_cast<std::size_t>((padded_n(s.n) * s.k() * 2 + 63) / 64 * 64);
}

void pack_b(const GemmShape& s, const GemmBSource& src, std::int64_t panel_begin,
            std::int64_t panel_end, std::int8_t* packed, const GemmBStats& stats) {
  auto* out = reinterpret_cast<std::int16_t*>(packed);
  for (std::int64_t n = panel_begin * kPanelCols; n < panel_end * kPanelCols; ++n) {
    std::int32_t sum = 0;
    std::int32_t sum_abs = 0;
    const std::int32_t zb = n >= s.n ? 0 : src.zb != nullptr ? src.zb[n] : src.zb_all;
    for (std::int64_t i = 0; i < s.k() && n < s.n; ++i) {
      const auto byte =
          *(static_cast<const std::uint8_t*>(src.b) + i / s.k_per_tap * src.tap_bytes +
            i % s.k_per_tap * src.k_bytes + n * src.n_bytes);
      const std::int32_t d =
          (src.is_unsigned ? std::int32_t{byte} : std::int32_t{static_cast<std::int8_t>(byte)}) -
          zb;
      out[n * s.k() + i] = static_cast<std::int16_t>(d);
      sum += d;
      sum_abs += d < 0 ? -d : d;
    }
    stats.colsum[n] = sum;
    if (stats.sum_abs != nullptr) stats.sum_abs[n] = sum_abs;
    if (stats.zb != nullptr) stats.zb[n] = 0;
  }
}

void make_init(const GemmShape& s, const std::int32_t*, std::int32_t, const std::int32_t*,
               std::int32_t* init) {
  std::memset(init, 0, static_cast<std::size_t>(padded_n(s.n)) * sizeof(std::int32_t));
}

std::size_t scratch_bytes(const GemmShape&) { return 0; }

void run(const GemmU8S8Args& a) {
  const std::int64_t k = a.shape.k();
  const auto* b = reinterpret_cast<const std::int16_t*>(a.b.packed);
  const std::int64_t n_end =
      a.panel_end * kPanelCols < a.shape.n ? a.panel_end * kPanelCols : a.shape.n;
  for (std::int64_t m = a.row_begin; m < a.row_end; ++m) {
    const std::int32_t za = a.za_rows != nullptr ? a.za_rows[m] : a.b.za;
    for (std::int64_t n = a.panel_begin * kPanelCols; n < n_end; ++n) {
      std::int64_t acc = a.b.bias != nullptr ? a.b.bias[n] : 0;
      for (std::int64_t i = 0; i < k; ++i) {
        const std::int64_t tap = i / a.shape.k_per_tap;
        const std::uint8_t* row =
            a.rows != nullptr ? a.rows[tap * a.rows_stride + m] : a.a + m * a.a_row_bytes;
        acc += std::int64_t{row[i % a.shape.k_per_tap] - za} * b[n * k + i];
      }
      epilogue_element(a.epilogue, acc, m, n, static_cast<std::byte*>(a.out) + m * a.out_row_bytes);
    }
  }
}

constinit const GemmU8S8Kernel kGemmU8S8Int64 = {.name = "gemm_u8s8/int64",
                                                 .isa = IsaLevel::kScalar,
                                                 .tile_m = 1,
                                                 .tile_panels = 1,
                                                 .packed_bytes = &packed_bytes,
                                                 .pack_b = &pack_b,
                                                 .make_init = &make_init,
                                                 .scratch_bytes = &scratch_bytes,
                                                 .run = &run};
}  // namespace

const GemmU8S8Kernel& gemm_u8s8_int64() noexcept { return kGemmU8S8Int64; }

}  // namespace intact
