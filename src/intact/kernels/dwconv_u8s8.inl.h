// dwconv_u8s8.inl.h: dwconv_u8s8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// Four rows of one pixel column are interleaved so that the bytes of a channel stand side by side;
// then one dot adds four taps. A column is interleaved once and used by every output it reaches:
// the common kernels (widths 3 and 5, strides 1 and 2) slide along a row with ceil(width / stride)
// outputs in flight; any other window is computed output by output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/dwconv_u8s8.h"
#include "kernels/epilogue.inl.h"

namespace intact {

// One block of channels under one vocabulary. Packed: weights [quads][kernel_w] groups, then the
// accumulators' initial values in vector order.
// Isa's own words do the fast path; Rest is the full vocabulary for everything else.
template <class Isa, class Rest>
struct DwconvBlock {
  using I32 = typename Isa::I32;
  using F32 = typename Isa::F32;
  using Column = typename Isa::Column;
  static constexpr int kV = Isa::kDwVecs;

  static std::int64_t quads(const WindowGeometry& w) noexcept { return (w.kernel_h + 3) / 4; }
  static std::size_t packed_bytes(const WindowGeometry& w) noexcept {
    return static_cast<std::size_t>(quads(w) * w.kernel_w * Isa::kDwWeightBytes +
                                    Isa::kDwBlock * 4);
  }

  static void pack(const DwconvShape& s, const DwconvWeights& w, std::int64_t c0,
                   std::byte* packed) noexcept {
    const WindowGeometry& g = s.window;
    std::memset(packed, 0, packed_bytes(g));
    auto* init =
        reinterpret_cast<std::int32_t*>(packed + quads(g) * g.kernel_w * Isa::kDwWeightBytes);
    std::int32_t natural[Isa::kDwBlock] = {};
    for (int i = 0; i < Isa::kDwBlock && c0 + i < s.channels; ++i) {
      const auto* from = static_cast<const std::int8_t*>(w.w) + (c0 + i) * w.channel_bytes;
      std::int32_t sum = 0;
      for (int y = 0; y < g.kernel_h; ++y)
        for (int x = 0; x < g.kernel_w; ++x) {
          const std::int32_t code = from[y * w.y_bytes + x * w.x_bytes];
          sum += code;
          Isa::dw_put_weight(packed + (y / 4 * g.kernel_w + x) * Isa::kDwWeightBytes, i, y % 4,
                             code);
        }
      natural[i] = static_cast<std::int32_t>(
          static_cast<std::uint32_t>(w.bias != nullptr ? w.bias[c0 + i] : 0) -
          static_cast<std::uint32_t>(w.za) * static_cast<std::uint32_t>(sum));
    }
    for (int j = 0; j < kV; ++j)
      for (int l = 0; l < Isa::kLanes; ++l)
        init[j * Isa::kLanes + l] = natural[Isa::dw_channel(j, l)];
  }

  // What stays the same over the outputs of a block.
  struct Task {
    const DwconvU8S8Args* a;
    std::int64_t c0;
    std::int64_t cols;  // Valid channels of the block.
    const std::byte* weights;
    const std::int32_t* init;
    bool plain;
    F32 m[kV], c[kV], hi;
    typename Isa::CodeConsts consts;
    std::int32_t* acc;  // kDwBlock elements, when not plain.
  };

  [[gnu::always_inline]] static inline void finish(const Task& t, const I32 (&acc)[kV],
                                                   std::int64_t oy, std::int64_t ox) noexcept {
    const DwconvU8S8Args& a = *t.a;
    std::byte* out = static_cast<std::byte*>(a.out) + oy * a.out_row_bytes + ox * a.out_pixel_bytes;
    if (t.plain) [[likely]] {
      I32 q[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j)
        q[j] = Isa::to_i32(Isa::min(Isa::fma(Isa::to_f32(acc[j]), t.m[j], t.c[j]), t.hi));
      Isa::dw_store_codes(reinterpret_cast<std::uint8_t*>(out) + t.c0, q, t.consts, t.cols,
                          a.epilogue.lut);
      return;
    }
    Isa::dw_store(t.acc, acc);
    finish_in_memory(t, out, oy * a.shape.window.out_w + ox);
  }

  [[gnu::noinline]] static void finish_in_memory(const Task& t, std::byte* out,
                                                 std::int64_t pixel) noexcept {
    const Epilogue& e = t.a->epilogue;
    const EpilogueTile tile{.acc = t.acc,
                            .acc_stride = Isa::kDwBlock,
                            .rows = 1,
                            .cols = t.cols,
                            .row = pixel,
                            .out = out + t.c0 * (e.kind == EpilogueKind::kCodes ? 1 : 4),
                            .out_row_bytes = 0,
                            .e = &e,
                            .m = e.m + t.c0,
                            .c = e.c + t.c0,
                            .r = e.r == nullptr ? nullptr : e.r + pixel * e.r_row_bytes + t.c0,
                            .za_rows = nullptr,
                            .colsum = nullptr,
                            .zb = nullptr,
                            .row_sums = nullptr};
    EpilogueRows<Rest>::run(tile);
  }

  // The input rows of one output row; a row outside of the image is the line of zero points.
  template <int kH>
  struct Rows {
    const std::uint8_t* p[kH];
    std::ptrdiff_t step[kH];
    const std::uint8_t* pad;
    std::int64_t in_w;
    Rows(const Task& t, std::int64_t oy) noexcept
        : pad(t.a->pad + t.c0), in_w(t.a->shape.window.in_w) {
      const DwconvU8S8Args& a = *t.a;
      const WindowGeometry& g = a.shape.window;
      for (int r = 0; r < kH; ++r) {
        const std::int64_t iy = oy * g.stride_h + r * std::int64_t{g.dilation_h} - g.pad_top;
        const bool inside = iy >= 0 && iy < g.in_h;
        p[r] = inside ? a.in + iy * a.in_row_bytes + t.c0 : pad;
        step[r] = inside ? a.in_pixel_bytes : 0;
      }
    }
    // Rows [4 kQuad, ...) of pixel column x.
    template <int kQuad>
    [[gnu::always_inline]] inline void column(Column& d, std::int64_t x) const noexcept {
      constexpr int kRows = kH - 4 * kQuad < 4 ? kH - 4 * kQuad : 4;
      const std::uint8_t* q[4] = {pad, pad, pad, pad};
      if (x >= 0 && x < in_w) [[likely]] {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) q[r] = p[4 * kQuad + r] + x * step[4 * kQuad + r];
      }
      Isa::template dw_column<kRows>(d, q);
    }
  };

  // kH x kW windows, stride kS along the row, dilation 1 along the row.
  template <int kH, int kW, int kS>
  [[gnu::noinline]] static void slide(const Task& task, std::int64_t row_begin,
                                      std::int64_t row_end) noexcept {
    constexpr int kQuads = (kH + 3) / 4;
    constexpr int kFlight = (kW + kS - 1) / kS;  // Outputs a column reaches.
    constexpr bool kHold = kQuads * kW * kV <= Isa::kDwHeldWeights;
    using Weight = typename Isa::DwWeight;
    const Task t = task;
    Weight held[kHold ? kQuads * kW : 1][kV];
    if constexpr (kHold) {
#pragma GCC unroll 8
      for (int k = 0; k < kQuads * kW; ++k)
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j)
          held[k][j] = Isa::dw_weight(t.weights + k * Isa::kDwWeightBytes, j);
    }
    const std::int64_t out_w = t.a->shape.window.out_w;
    const std::int64_t pad_left = t.a->shape.window.pad_left;
    for (std::int64_t oy = row_begin; oy < row_end; ++oy) {
      const Rows<kH> rows(t, oy);
      I32 acc[kFlight][kV];
      // Adds column x0 * kS + kC of the outputs in flight (kC is relative to the first one).
      const auto add_column = [&]<int kC>(std::int64_t x0) __attribute__((always_inline)) {
        const std::int64_t x = x0 * kS + kC - pad_left;
        Column d;
        const auto add_quad = [&]<int kQuad>() __attribute__((always_inline)) {
          rows.template column<kQuad>(d, x);
#pragma GCC unroll 8
          for (int f = 0; f < kFlight; ++f) {
            const int kx = kC - f * kS;
            if (kx < 0 || kx >= kW) continue;
#pragma GCC unroll 4
            for (int j = 0; j < kV; ++j) {
              if constexpr (kHold)
                Isa::dw_dot(acc[f][j], d, j, held[kQuad * kW + kx][j]);
              else
                Isa::dw_dot(acc[f][j], d, j, t.weights + (kQuad * kW + kx) * Isa::kDwWeightBytes);
            }
          }
        };
        add_quad.template operator()<0>();
        if constexpr (kQuads > 1) add_quad.template operator()<1>();
      };
#pragma GCC unroll 8
      for (int f = 0; f < kFlight; ++f) start(acc[f], t.init);
      // The columns before the first output's last kS.
      add_head<0, kW - kS>(add_column);
#pragma GCC unroll 1
      for (std::int64_t ox = 0; ox < out_w; ++ox) {
        add_column.template operator()<kW - kS>(ox);
        if constexpr (kS > 1) add_column.template operator()<kW - kS + 1>(ox);
        finish(t, acc[0], oy, ox);
#pragma GCC unroll 8
        for (int f = 0; f + 1 < kFlight; ++f)
#pragma GCC unroll 4
          for (int j = 0; j < kV; ++j) acc[f][j] = acc[f + 1][j];
        start(acc[kFlight - 1], t.init);
      }
    }
  }

  template <int kC, int kEnd, class Add>
  [[gnu::always_inline]] static inline void add_head(const Add& add) noexcept {
    if constexpr (kC < kEnd) {
      add.template operator()<kC>(0);
      add_head<kC + 1, kEnd>(add);
    }
  }

  [[gnu::always_inline]] static inline void start(I32 (&acc)[kV],
                                                  const std::int32_t* init) noexcept {
#pragma GCC unroll 4
    for (int j = 0; j < kV; ++j) acc[j] = Isa::load_i32(init + j * Isa::kLanes);
  }

  // Any window.
  template <int kRows>
  [[gnu::always_inline]] static inline void add_quad(const Task& t, std::int64_t oy,
                                                     std::int64_t ox, std::int64_t quad,
                                                     I32 (&acc)[kV]) noexcept {
    const DwconvU8S8Args& a = *t.a;
    const WindowGeometry& g = a.shape.window;
    const std::byte* group = t.weights + quad * g.kernel_w * Isa::kDwWeightBytes;
    for (std::int64_t kx = 0; kx < g.kernel_w; ++kx, group += Isa::kDwWeightBytes) {
      const std::int64_t ix = ox * g.stride_w + kx * g.dilation_w - g.pad_left;
      if (ix < 0 || ix >= g.in_w) {
        add_pad<kRows>(t, acc, group);
        continue;
      }
      const std::uint8_t* q[4] = {};
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const std::int64_t iy = oy * g.stride_h + (4 * quad + r) * g.dilation_h - g.pad_top;
        q[r] = iy >= 0 && iy < g.in_h ? a.in + iy * a.in_row_bytes + ix * a.in_pixel_bytes + t.c0
                                      : a.pad + t.c0;
      }
      Column d;
      Isa::template dw_column<kRows>(d, q);
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) Isa::dw_dot(acc[j], d, j, group);
    }
  }
  template <int kRows>
  [[gnu::always_inline]] static inline void add_pad(const Task& t, I32 (&acc)[kV],
                                                    const std::byte* group) noexcept {
    const std::uint8_t* pad = t.a->pad + t.c0;
    const std::uint8_t* const q[4] = {pad, pad, pad, pad};
    Column d;
    Isa::template dw_column<kRows>(d, q);
#pragma GCC unroll 4
    for (int j = 0; j < kV; ++j) Isa::dw_dot(acc[j], d, j, group);
  }
  [[gnu::noinline]] static void any_window(const Task& t, std::int64_t row_begin,
                                           std::int64_t row_end) noexcept {
    const WindowGeometry& g = t.a->shape.window;
    for (std::int64_t oy = row_begin; oy < row_end; ++oy)
      for (std::int64_t ox = 0; ox < g.out_w; ++ox) {
        I32 acc[kV];
        start(acc, t.init);
        std::int64_t quad = 0;
        for (; 4 * quad + 4 <= g.kernel_h; ++quad) add_quad<4>(t, oy, ox, quad, acc);
        const std::int64_t left = g.kernel_h - 4 * quad;
        if (left == 3) add_quad<3>(t, oy, ox, quad, acc);
        if (left == 2) add_quad<2>(t, oy, ox, quad, acc);
        if (left == 1) add_quad<1>(t, oy, ox, quad, acc);
        finish(t, acc, oy, ox);
      }
  }

  static void run(const DwconvU8S8Args& a, std::int64_t c0, const std::byte* packed) noexcept {
    const WindowGeometry& g = a.shape.window;
    Task t;
    t.a = &a;
    t.c0 = c0;
    t.cols = a.shape.channels - c0 < Isa::kDwBlock ? a.shape.channels - c0 : Isa::kDwBlock;
    t.weights = packed;
    t.init =
        reinterpret_cast<const std::int32_t*>(packed + quads(g) * g.kernel_w * Isa::kDwWeightBytes);
    t.plain = is_plain_codes(a.epilogue);
    t.acc = reinterpret_cast<std::int32_t*>(a.scratch);
    if (t.plain) {
      float m[Isa::kDwBlock] = {};
      float c[Isa::kDwBlock] = {};
      std::memcpy(m, a.epilogue.m + c0, static_cast<std::size_t>(t.cols) * 4);
      std::memcpy(c, a.epilogue.c + c0, static_cast<std::size_t>(t.cols) * 4);
      Isa::dw_load(t.m, m);
      Isa::dw_load(t.c, c);
      const CodeLimits& k = a.epilogue.codes;
      t.hi = Isa::set_f32(static_cast<float>(k.hi - k.zero));
      t.consts = Isa::code_consts(k.zero, k.lo);
    }
    if (g.dilation_w == 1 && g.kernel_h == g.kernel_w && g.stride_w <= 2) {
      if (g.kernel_w == 3)
        return g.stride_w == 1 ? slide<3, 3, 1>(t, a.row_begin, a.row_end)
                               : slide<3, 3, 2>(t, a.row_begin, a.row_end);
      if (g.kernel_w == 5)
        return g.stride_w == 1 ? slide<5, 5, 1>(t, a.row_begin, a.row_end)
                               : slide<5, 5, 2>(t, a.row_begin, a.row_end);
    }
    any_window(t, a.row_begin, a.row_end);
  }
};

// Whole channels: blocks of Isa, and a last block of Narrow when what is left fits into it.
template <class Isa, class Narrow>
struct DwconvU8S8 {
  static constexpr std::int64_t kBlock = Isa::kDwBlock;
  using Wide = DwconvBlock<Isa, Isa>;
  using Last = DwconvBlock<Narrow, Isa>;

  static std::int64_t wide_blocks(std::int64_t channels) noexcept {
    const std::int64_t left = channels % kBlock;
    return channels / kBlock + (left > (Narrow::kDwBlock < kBlock ? Narrow::kDwBlock : 0) ? 1 : 0);
  }
  static std::size_t packed_bytes(const DwconvShape& s) {
    const std::int64_t wide = wide_blocks(s.channels);
    return static_cast<std::size_t>(wide) * Wide::packed_bytes(s.window) +
           (wide * kBlock < s.channels ? Last::packed_bytes(s.window) : 0);
  }
  static void pack(const DwconvShape& s, const DwconvWeights& w, std::byte* packed) {
    const std::int64_t wide = wide_blocks(s.channels);
    for (std::int64_t b = 0; b < wide; ++b, packed += Wide::packed_bytes(s.window))
      Wide::pack(s, w, b * kBlock, packed);
    if (wide * kBlock < s.channels) Last::pack(s, w, wide * kBlock, packed);
  }
  static std::size_t scratch_bytes(const DwconvShape&) { return kBlock * 4; }
  static void run(const DwconvU8S8Args& a) {
    const WindowGeometry& w = a.shape.window;
    const std::int64_t wide = wide_blocks(a.shape.channels);
    const std::byte* packed = a.packed;
    for (std::int64_t b = 0; b < wide; ++b, packed += Wide::packed_bytes(w))
      Wide::run(a, b * kBlock, packed);
    if (wide * kBlock < a.shape.channels) Last::run(a, wide * kBlock, packed);
  }
};

}  // namespace intact
