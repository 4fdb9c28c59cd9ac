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
          static_cast<std::uint32_t>(w.za - Isa::kAOffset) * static_cast<std::uint32_t>(sum));
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
    bool summed;
    const std::uint8_t* lut;
    F32 m[kV], c[kV];
    typename Isa::CodeConsts consts;
    std::int32_t* acc;  // kDwBlock elements, when not plain.
  };

  // kNoC: every c is 0, and a product alone gives the same codes with fewer loads.
  template <bool kNoC>
  [[gnu::always_inline]] static inline void finish(const Task& t, const I32 (&acc)[kV],
                                                   std::byte* out, std::int64_t pixel) noexcept {
    if (t.plain) [[likely]] {
      I32 q[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) {
        const F32 x = Isa::to_f32(acc[j]);
        q[j] = Isa::to_i32(kNoC ? Isa::mul(x, t.m[j]) : Isa::fma(x, t.m[j], t.c[j]));
      }
      Isa::dw_store_codes(reinterpret_cast<std::uint8_t*>(out) + t.c0, q, t.consts, t.cols, t.lut);
      return;
    }
    Isa::dw_store(t.acc, acc);
    finish_in_memory(t, out, pixel);
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
                            .row_sums = nullptr,
                            .small = t.summed};
    EpilogueRows<Rest>::run(tile);
  }

  // A position along the input rows of one output row. A row outside of the image is the line of
  // zero points, and stays where it is.
  template <int kH>
  struct Rows {
    const std::uint8_t* p[kH];
    std::ptrdiff_t step[kH];
    const std::uint8_t* pad;
    std::int64_t x;  // Input column.
    std::int64_t in_w;
    Rows(const Task& t, std::int64_t oy) noexcept
        : pad(t.a->pad + t.c0),
          x(-std::int64_t{t.a->shape.window.pad_left}),
          in_w(t.a->shape.window.in_w) {
      const DwconvU8S8Args& a = *t.a;
      const WindowGeometry& g = a.shape.window;
      for (int r = 0; r < kH; ++r) {
        const std::int64_t iy = oy * g.stride_h + r * std::int64_t{g.dilation_h} - g.pad_top;
        const bool inside = iy >= 0 && iy < g.in_h;
        step[r] = inside ? a.in_pixel_bytes : 0;
        p[r] = inside ? a.in + iy * a.in_row_bytes + t.c0 + x * step[r] : pad;
      }
    }
    // Rows [4 kQuad, ...) of this column; kInside: known to lie in the image.
    template <int kQuad, bool kInside>
    [[gnu::always_inline]] inline void column(Column& d) const noexcept {
      constexpr int kRows = kH - 4 * kQuad < 4 ? kH - 4 * kQuad : 4;
      const std::uint8_t* q[4] = {pad, pad, pad, pad};
      if (kInside || (x >= 0 && x < in_w)) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) q[r] = p[4 * kQuad + r];
      }
      Isa::template dw_column<kRows>(d, q);
    }
    [[gnu::always_inline]] inline void next() noexcept {
      ++x;
#pragma GCC unroll 8
      for (int r = 0; r < kH; ++r) p[r] += step[r];
    }
  };

  // kH x kW windows, stride kS along the row, dilation 1 along the row.
  template <int kH, int kW, int kS, bool kNoC>
  struct Slide {
    static constexpr int kQuads = (kH + 3) / 4;
    static constexpr int kFlight = (kW + kS - 1) / kS;  // Outputs that one column reaches.
    static constexpr bool kHold = kQuads * kW * kV <= Isa::kDwHeldWeights;
    using Weight = typename Isa::DwWeight;

    const Task& t;
    Weight held[kHold ? kQuads * kW : 1][kV];
    I32 acc[kFlight][kV];

    // Adds column kC (relative to the first output in flight, which is acc[kRot]) and moves on.
    template <int kC, int kRot, bool kInside, int kQuad = 0>
    [[gnu::always_inline]] inline void add_column(Rows<kH>& rows) noexcept {
      Column d;
      rows.template column<kQuad, kInside>(d);
#pragma GCC unroll 8
      for (int f = 0; f < kFlight; ++f) {
        const int kx = kC - f * kS;
        if (kx < 0 || kx >= kW) continue;
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) {
          I32& sum = acc[(f + kRot) % kFlight][j];
          if constexpr (kHold)
            Isa::dw_dot(sum, d, j, held[kQuad * kW + kx][j]);
          else
            Isa::dw_dot(sum, d, j, t.weights + (kQuad * kW + kx) * Isa::kDwWeightBytes);
        }
      }
      if constexpr (kQuad + 1 < kQuads)
        add_column<kC, kRot, kInside, kQuad + 1>(rows);
      else
        rows.next();
    }
    template <int kC, int kEnd, int kRot, bool kInside>
    [[gnu::always_inline]] inline void add_columns(Rows<kH>& rows) noexcept {
      if constexpr (kC < kEnd) {
        add_column<kC, kRot, kInside>(rows);
        add_columns<kC + 1, kEnd, kRot, kInside>(rows);
      }
    }
    // Completes the first output in flight; its accumulators start the one kFlight later.
    template <int kRot, bool kInside>
    [[gnu::always_inline]] inline void step(Rows<kH>& rows, std::byte* out,
                                            std::int64_t pixel) noexcept {
      add_columns<kW - kS, kW, kRot, kInside>(rows);
      finish<kNoC>(t, acc[kRot], out, pixel);
      start(acc[kRot], t.init);
    }
    // kFlight outputs, after which every accumulator has its place again.
    template <int kRot>
    [[gnu::always_inline]] inline void round(Rows<kH>& rows, std::byte*& out,
                                             std::int64_t pixel) noexcept {
      if constexpr (kRot < kFlight) {
        step<kRot, true>(rows, out, pixel + kRot);
        out += t.a->out_pixel_bytes;
        round<kRot + 1>(rows, out, pixel);
      }
    }

    [[gnu::always_inline]] inline void row(std::int64_t oy) noexcept {
      const WindowGeometry& g = t.a->shape.window;
      Rows<kH> rows(t, oy);
#pragma GCC unroll 8
      for (int f = 0; f < kFlight; ++f) start(acc[f], t.init);
      add_columns<0, kW - kS, 0, false>(rows);
      std::byte* out = static_cast<std::byte*>(t.a->out) + oy * t.a->out_row_bytes;
      const std::int64_t pixel = oy * g.out_w;
      // Outputs [.., inside_end) need no more columns right of the image, once x >= 0.
      const std::int64_t reach = g.in_w - kW + g.pad_left;
      const std::int64_t inside_end = reach < 0 ? 0 : reach / kS + 1;
      for (std::int64_t ox = 0; ox < g.out_w;) {
        if (rows.x >= 0 && ox + kFlight <= inside_end) {
#pragma GCC unroll 1
          do {
            round<0>(rows, out, pixel + ox);
            ox += kFlight;
          } while (ox + kFlight <= inside_end);
          continue;
        }
        step<0, false>(rows, out, pixel + ox);
        out += t.a->out_pixel_bytes;
        ++ox;
        I32 first[kV];
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) {
          first[j] = acc[0][j];
#pragma GCC unroll 8
          for (int f = 0; f + 1 < kFlight; ++f) acc[f][j] = acc[f + 1][j];
          acc[kFlight - 1][j] = first[j];
        }
      }
    }

    [[gnu::noinline]] static void run(const Task& task, std::int64_t row_begin,
                                      std::int64_t row_end) noexcept {
      Slide s{task, {}, {}};
      if constexpr (kHold) {
#pragma GCC unroll 8
        for (int k = 0; k < kQuads * kW; ++k)
#pragma GCC unroll 4
          for (int j = 0; j < kV; ++j)
            s.held[k][j] = Isa::dw_weight(task.weights + k * Isa::kDwWeightBytes, j);
      }
#pragma GCC unroll 1
      for (std::int64_t oy = row_begin; oy < row_end; ++oy) s.row(oy);
    }
  };

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
        finish<false>(
            t, acc,
            static_cast<std::byte*>(t.a->out) + oy * t.a->out_row_bytes + ox * t.a->out_pixel_bytes,
            oy * g.out_w + ox);
      }
  }

  // Runs the windows that have a sliding kernel; returns false for the others.
  template <bool kNoC>
  static bool slide(const Task& t) noexcept {
    const DwconvU8S8Args& a = *t.a;
    const WindowGeometry& g = a.shape.window;
    if (g.dilation_w != 1 || g.kernel_h != g.kernel_w || g.stride_w > 2) return false;
    if (g.kernel_w == 3 && g.stride_w == 1)
      Slide<3, 3, 1, kNoC>::run(t, a.row_begin, a.row_end);
    else if (g.kernel_w == 3)
      Slide<3, 3, 2, kNoC>::run(t, a.row_begin, a.row_end);
    else if (g.kernel_w == 5 && g.stride_w == 1)
      Slide<5, 5, 1, kNoC>::run(t, a.row_begin, a.row_end);
    else if (g.kernel_w == 5)
      Slide<5, 5, 2, kNoC>::run(t, a.row_begin, a.row_end);
    else
      return false;
    return true;
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
    t.plain = EpilogueRows<Rest>::is_plain(a.epilogue, c0, t.cols);
    t.summed = EpilogueRows<Rest>::is_summed(a.epilogue, c0, t.cols);
    t.lut = a.epilogue.lut;
    t.acc = reinterpret_cast<std::int32_t*>(a.scratch);
    if (t.plain) {
      float m[Isa::kDwBlock] = {};
      float c[Isa::kDwBlock] = {};
      std::memcpy(m, a.epilogue.m + c0, static_cast<std::size_t>(t.cols) * 4);
      std::memcpy(c, a.epilogue.c + c0, static_cast<std::size_t>(t.cols) * 4);
      Isa::dw_load(t.m, m);
      Isa::dw_load(t.c, c);
      const CodeLimits& k = a.epilogue.codes;
      t.consts = Isa::code_consts(k.zero, k.lo, k.hi);
    }
    bool no_c = t.plain;
    for (std::int64_t i = c0; no_c && i < c0 + t.cols; ++i) no_c = a.epilogue.c[i] == 0.0f;
    if (no_c ? slide<true>(t) : slide<false>(t)) return;
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
