// dwconv_u8s8.inl.h: dwconv_u8s8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// Four rows of one pixel column are interleaved so that the bytes of a channel stand side by side;
// then one dot adds four taps. A column is interleaved once and used by every output it reaches:
// the common kernels (widths 3 and 5, strides 1 and 2) slide along a row with ceil(width / stride)
// outputs in flight; any other window is computed output by output.
//
// With few channels one pixel would leave most lanes of a block idle. At stride 1 the pixels that
// lie side by side are then one longer pixel: its taps are the same bytes a pixel further on, and
// weights, factors and zero points repeat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/dwconv_u8s8.h"
#include "kernels/epilogue.inl.h"

namespace intact {

// How an output ends.
enum class DwFinish : std::uint8_t {
  kProduct,     // Codes where c is 0: a product alone gives the same with fewer loads.
  kSum,         // Equation (1) of epilogue.h on the registers.
  kHardSwish,   // Equation (5) with that function, on the registers.
  kHardSwish6,  // The same.
  kRows,        // Accumulators are held, and EpilogueRows does the rest for several pixels.
};

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
                   std::int64_t pixels, std::byte* packed) noexcept {
    const WindowGeometry& g = s.window;
    std::memset(packed, 0, packed_bytes(g));
    auto* init =
        reinterpret_cast<std::int32_t*>(packed + quads(g) * g.kernel_w * Isa::kDwWeightBytes);
    std::int32_t natural[Isa::kDwBlock] = {};
    for (int i = 0; i < Isa::kDwBlock && c0 + i < s.channels * pixels; ++i) {
      const std::int64_t c = c0 + i % s.channels;
      const auto* from = static_cast<const std::int8_t*>(w.w) + c * w.channel_bytes;
      std::int32_t sum = 0;
      for (int y = 0; y < g.kernel_h; ++y)
        for (int x = 0; x < g.kernel_w; ++x) {
          const std::int32_t code = from[y * w.y_bytes + x * w.x_bytes];
          sum += code;
          Isa::dw_put_weight(packed + (y / 4 * g.kernel_w + x) * Isa::kDwWeightBytes, i, y % 4,
                             code);
        }
      natural[i] = static_cast<std::int32_t>(
          static_cast<std::uint32_t>(w.bias != nullptr ? w.bias[c] : 0) -
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
    std::int64_t cols;        // Valid channels of the block.
    std::int64_t pixels;      // That a block holds.
    const std::uint8_t* pad;  // Zero points for all of them.
    const std::byte* weights;
    const std::int32_t* init;
    const std::uint8_t* lut;
    F32 m[kV], c[kV], g_m[kV], g_c[kV];
    typename Isa::CodeConsts consts;
    EpilogueTile held;  // kRows: the pixels that wait in scratch memory.
  };
  static constexpr int kHeldPixels = 32;
  static constexpr std::size_t kHeldBytes = std::size_t{kHeldPixels} * Isa::kDwBlock * 4;

  template <DwFinish kFinish>
  [[gnu::always_inline]] static inline void finish(Task& t, const I32 (&acc)[kV], std::byte* out,
                                                   std::int64_t pixel,
                                                   std::int64_t count = 1) noexcept {
    if constexpr (kFinish == DwFinish::kRows) {
      hold(t, acc, out, pixel);
    } else {
      I32 q[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) {
        const F32 x = Isa::to_f32(acc[j]);
        F32 f = kFinish == DwFinish::kProduct ? Isa::mul(x, t.m[j]) : Isa::fma(x, t.m[j], t.c[j]);
        if constexpr (kFinish == DwFinish::kHardSwish || kFinish == DwFinish::kHardSwish6) {
          f = Isa::apply(
              [](auto v) {
                using Math = MathF32<typename Isa::Floats>;
                return kFinish == DwFinish::kHardSwish ? Math::hard_swish(v)
                                                       : Math::hard_swish6_small(v);
              },
              f);
          f = Isa::add(Isa::mul(f, t.g_m[j]), t.g_c[j]);
        }
        q[j] = Isa::to_i32(f);
      }
      Isa::dw_store_codes(reinterpret_cast<std::uint8_t*>(out) + t.c0, q, t.consts, count * t.cols,
                          t.lut);
    }
  }

  [[gnu::always_inline]] static inline void hold(Task& t, const I32 (&acc)[kV], std::byte* out,
                                                 std::int64_t pixel) noexcept {
    EpilogueTile& h = t.held;
    if (h.rows == 0) {
      const Epilogue& e = *h.e;
      h.row = pixel;
      h.out = out + t.c0 * (e.kind == EpilogueKind::kCodes ? 1 : 4);
      h.r = e.residual_at(pixel, t.c0);
    }
    Isa::dw_store(h.acc + h.rows * Isa::kDwBlock, acc);
    if (++h.rows == kHeldPixels) release(t);
  }
  // Finishes the pixels that wait. They lie in one row of the output.
  [[gnu::noinline]] static void release(Task& t) noexcept {
    if (t.held.rows > 0) EpilogueRows<Rest>::run(t.held);
    t.held.rows = 0;
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
        : pad(t.pad), x(-std::int64_t{t.a->shape.window.pad_left}), in_w(t.a->shape.window.in_w) {
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
    // The same of `count` pixels that begin here, of which some may lie outside of the image.
    template <int kQuad>
    void edge_column(Column& d, std::int64_t count, std::int64_t pixel_bytes) const noexcept {
      constexpr int kRows = kH - 4 * kQuad < 4 ? kH - 4 * kQuad : 4;
      constexpr std::size_t kBytes = Isa::kDwBlock;
      std::uint8_t lines[kRows][2 * kBytes];
      const std::uint8_t* q[4] = {pad, pad, pad, pad};
      const std::int64_t left = x < 0 ? -x : 0;  // Pixels [left, right) lie in the image.
      const std::int64_t right = in_w - x;
      for (int r = 0; left < count && left < right && r < kRows; ++r) {
        const std::uint8_t* row = p[4 * kQuad + r] + left * step[4 * kQuad + r];
        if (left == 0 && right >= count) {
          q[r] = row;
          continue;
        }
        q[r] = lines[r];
        std::memcpy(lines[r], pad, kBytes);
        std::memcpy(lines[r] + left * pixel_bytes, row, kBytes);
        if (right < count) std::memcpy(lines[r] + right * pixel_bytes, pad, kBytes);
      }
      Isa::template dw_column<kRows>(d, q);
    }
    [[gnu::always_inline]] inline void next(std::int64_t n = 1) noexcept {
      x += n;
#pragma GCC unroll 8
      for (int r = 0; r < kH; ++r) p[r] += n * step[r];
    }
  };

  // kH x kW windows, stride kS along the row, dilation 1 along the row.
  template <int kH, int kW, int kS, DwFinish kFinish>
  struct Slide {
    static constexpr int kQuads = (kH + 3) / 4;
    static constexpr int kFlight = (kW + kS - 1) / kS;  // Outputs that one column reaches.
    static constexpr bool kHold = kQuads * kW * kV <= Isa::kDwHeldWeights;
    using Weight = typename Isa::DwWeight;

    Task& t;
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
      finish<kFinish>(t, acc[kRot], out, pixel);
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
      if constexpr (kFinish == DwFinish::kRows) release(t);
    }

    [[gnu::noinline]] static void run(Task& task, std::int64_t row_begin,
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
                                      : t.pad;
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
    const std::uint8_t* const q[4] = {t.pad, t.pad, t.pad, t.pad};
    Column d;
    Isa::template dw_column<kRows>(d, q);
#pragma GCC unroll 4
    for (int j = 0; j < kV; ++j) Isa::dw_dot(acc[j], d, j, group);
  }
  template <DwFinish kFinish>
  [[gnu::noinline]] static void any_window(Task& t, std::int64_t row_begin,
                                           std::int64_t row_end) noexcept {
    const WindowGeometry& g = t.a->shape.window;
    for (std::int64_t oy = row_begin; oy < row_end; ++oy) {
      for (std::int64_t ox = 0; ox < g.out_w; ++ox) {
        I32 acc[kV];
        start(acc, t.init);
        std::int64_t quad = 0;
        for (; 4 * quad + 4 <= g.kernel_h; ++quad) add_quad<4>(t, oy, ox, quad, acc);
        const std::int64_t left = g.kernel_h - 4 * quad;
        if (left == 3) add_quad<3>(t, oy, ox, quad, acc);
        if (left == 2) add_quad<2>(t, oy, ox, quad, acc);
        if (left == 1) add_quad<1>(t, oy, ox, quad, acc);
        finish<kFinish>(
            t, acc,
            static_cast<std::byte*>(t.a->out) + oy * t.a->out_row_bytes + ox * t.a->out_pixel_bytes,
            oy * g.out_w + ox);
      }
      if constexpr (kFinish == DwFinish::kRows) release(t);
    }
  }

  // Stride 1 and dilation 1, several pixels a block.
  template <int kH, int kW, DwFinish kFinish>
  [[gnu::noinline]] static void flat(Task& t, std::int64_t row_begin,
                                     std::int64_t row_end) noexcept {
    const DwconvU8S8Args& a = *t.a;
    const WindowGeometry& g = a.shape.window;
    for (std::int64_t oy = row_begin; oy < row_end; ++oy) {
      Rows<kH> rows(t, oy);
      std::byte* out = static_cast<std::byte*>(a.out) + oy * a.out_row_bytes;
#pragma GCC unroll 1
      for (std::int64_t ox = 0; ox < g.out_w; ox += t.pixels) {
        const std::int64_t count = g.out_w - ox < t.pixels ? g.out_w - ox : t.pixels;
        I32 acc[kV];
        start(acc, t.init);
        if (rows.x >= 0 && rows.x + kW - 1 + count <= g.in_w)
          add_taps<kH, kW, true>(t, rows, count, acc);
        else
          add_taps<kH, kW, false>(t, rows, count, acc);
        finish<kFinish>(t, acc, out, oy * g.out_w + ox, count);
        rows.next(t.pixels);
        out += t.pixels * a.out_pixel_bytes;
      }
    }
  }
  template <int kH, int kW, bool kInside, int kQuad = 0>
  [[gnu::always_inline]] static inline void add_taps(const Task& t, const Rows<kH>& from,
                                                     std::int64_t count, I32 (&acc)[kV]) noexcept {
    Rows<kH> rows = from;
#pragma GCC unroll 8
    for (int kx = 0; kx < kW; ++kx, rows.next()) {
      Column d;
      if constexpr (kInside)
        rows.template column<kQuad, true>(d);
      else
        rows.template edge_column<kQuad>(d, count, t.cols);
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j)
        Isa::dw_dot(acc[j], d, j, t.weights + (kQuad * kW + kx) * Isa::kDwWeightBytes);
    }
    if constexpr (4 * kQuad + 4 < kH) add_taps<kH, kW, kInside, kQuad + 1>(t, from, count, acc);
  }

  // Windows that slide, or that take several pixels a block.
  static bool is_common(const WindowGeometry& g) noexcept {
    return Isa::kDwSlides && g.dilation_w == 1 && g.kernel_h == g.kernel_w && g.stride_w <= 2 &&
           (g.kernel_w == 3 || g.kernel_w == 5);
  }

  template <DwFinish kFinish>
  static void run(Task& t) noexcept {
    const DwconvU8S8Args& a = *t.a;
    const WindowGeometry& g = a.shape.window;
    if constexpr (Isa::kDwSlides) {
      if constexpr (kFinish != DwFinish::kRows)
        if (t.pixels > 1)
          return g.kernel_w == 3 ? flat<3, 3, kFinish>(t, a.row_begin, a.row_end)
                                 : flat<5, 5, kFinish>(t, a.row_begin, a.row_end);
      if (is_common(g)) {
        if (g.kernel_w == 3)
          return g.stride_w == 1 ? Slide<3, 3, 1, kFinish>::run(t, a.row_begin, a.row_end)
                                 : Slide<3, 3, 2, kFinish>::run(t, a.row_begin, a.row_end);
        return g.stride_w == 1 ? Slide<5, 5, 1, kFinish>::run(t, a.row_begin, a.row_end)
                               : Slide<5, 5, 2, kFinish>::run(t, a.row_begin, a.row_end);
      }
    }
    any_window<kFinish>(t, a.row_begin, a.row_end);
  }

  static DwFinish finish_of(const Epilogue& e, std::int64_t c0, std::int64_t cols) noexcept {
    if (EpilogueRows<Rest>::is_plain(e, c0, cols)) {
      bool no_c = true;
      for (std::int64_t i = c0; no_c && i < c0 + cols; ++i) no_c = e.c[i] == 0.0f;
      return no_c ? DwFinish::kProduct : DwFinish::kSum;
    }
    if (e.apart && is_hard_swish(e.function->op) &&
        EpilogueRows<Rest>::is_function_small(e, c0, cols))
      return e.function->op == UnaryOp::kHardSwish ? DwFinish::kHardSwish : DwFinish::kHardSwish6;
    return DwFinish::kRows;
  }

  // Packed for `pixels` a block; taken one by one where gaps lie between them, or rows finish them.
  static void run(const DwconvU8S8Args& a, std::int64_t c0, std::int64_t pixels,
                  const std::byte* packed) noexcept {
    const WindowGeometry& g = a.shape.window;
    const Epilogue& e = a.epilogue;
    Task t;
    t.a = &a;
    t.c0 = c0;
    t.cols = a.shape.channels - c0 < Isa::kDwBlock ? a.shape.channels - c0 : Isa::kDwBlock;
    const DwFinish how = finish_of(e, c0, t.cols);
    const bool dense = a.in_pixel_bytes == t.cols && a.out_pixel_bytes == t.cols;
    t.pixels = dense && how != DwFinish::kRows ? pixels : 1;
    t.pad = a.pad + c0;
    std::uint8_t pads[Isa::kDwBlock] = {};
    if (t.pixels > 1) {
      for (std::int64_t p = 0; p < t.pixels; ++p)
        std::memcpy(pads + p * t.cols, a.pad, static_cast<std::size_t>(t.cols));
      t.pad = pads;
    }
    t.weights = packed;
    t.init =
        reinterpret_cast<const std::int32_t*>(packed + quads(g) * g.kernel_w * Isa::kDwWeightBytes);
    t.lut = e.lut;
    t.consts = Isa::code_consts(e.codes.zero, e.codes.lo, e.codes.hi);
    const auto load = [&](F32(&to)[kV], const float* from) {
      float natural[Isa::kDwBlock] = {};
      for (std::int64_t p = 0; p < t.pixels; ++p)
        std::memcpy(natural + p * t.cols, from + c0, static_cast<std::size_t>(t.cols) * 4);
      Isa::dw_load(to, natural);
    };
    switch (how) {
      case DwFinish::kProduct:
        load(t.m, e.m);
        return run<DwFinish::kProduct>(t);
      case DwFinish::kSum:
        load(t.m, e.m);
        load(t.c, e.c);
        return run<DwFinish::kSum>(t);
      case DwFinish::kHardSwish:
      case DwFinish::kHardSwish6:
        load(t.m, e.m);
        load(t.c, e.c);
        load(t.g_m, e.g_m);
        load(t.g_c, e.g_c);
        return how == DwFinish::kHardSwish ? run<DwFinish::kHardSwish>(t)
                                           : run<DwFinish::kHardSwish6>(t);
      case DwFinish::kRows:
        t.held = {};
        t.held.acc = reinterpret_cast<std::int32_t*>(a.scratch);
        t.held.acc_stride = Isa::kDwBlock;
        t.held.cols = t.cols;
        t.held.out_row_bytes = a.out_pixel_bytes;
        t.held.e = &e;
        t.held.m = e.m + c0;
        t.held.c = e.c + c0;
        if (e.is_mapped()) {
          t.held.g_m = e.g_m + c0;
          t.held.g_c = e.g_c + c0;
        }
        if (e.steps) t.held.steps = e.steps.v + c0;
        EpilogueRows<Rest>::judge(t.held, c0, t.cols);
        return run<DwFinish::kRows>(t);
    }
  }
};

// Whole channels: blocks of Isa, and a last block of Narrow when what is left fits into it; or one
// block of Isa with several pixels, where a pixel would fill no more than half of Narrow.
template <class Isa, class Narrow>
struct DwconvU8S8 {
  static constexpr std::int64_t kBlock = Isa::kDwBlock;
  using Wide = DwconvBlock<Isa, Isa>;
  using Last = DwconvBlock<Narrow, Isa>;

  static std::int64_t pixels(const DwconvShape& s) noexcept {
    const bool few = 2 * s.channels <= Narrow::kDwBlock;
    return few && s.window.stride_w == 1 && Wide::is_common(s.window) ? kBlock / s.channels : 1;
  }
  static std::int64_t wide_blocks(const DwconvShape& s) noexcept {
    const std::int64_t left = s.channels % kBlock;
    const bool narrow = left <= (Narrow::kDwBlock < kBlock ? Narrow::kDwBlock : 0);
    return s.channels / kBlock + (narrow && pixels(s) == 1 ? 0 : 1);
  }
  static std::size_t packed_bytes(const DwconvShape& s) {
    const std::int64_t wide = wide_blocks(s);
    return static_cast<std::size_t>(wide) * Wide::packed_bytes(s.window) +
           (wide * kBlock < s.channels ? Last::packed_bytes(s.window) : 0);
  }
  static void pack(const DwconvShape& s, const DwconvWeights& w, std::byte* packed) {
    const std::int64_t wide = wide_blocks(s);
    for (std::int64_t b = 0; b < wide; ++b, packed += Wide::packed_bytes(s.window))
      Wide::pack(s, w, b * kBlock, pixels(s), packed);
    if (wide * kBlock < s.channels) Last::pack(s, w, wide * kBlock, 1, packed);
  }
  static std::size_t scratch_bytes(const DwconvShape&) {
    return Wide::kHeldBytes > Last::kHeldBytes ? Wide::kHeldBytes : Last::kHeldBytes;
  }
  static void run(const DwconvU8S8Args& a) {
    const WindowGeometry& w = a.shape.window;
    const std::int64_t wide = wide_blocks(a.shape);
    static_assert(kDwconvChannels % kBlock == 0);
    const std::int64_t end = a.channel_end < a.shape.channels ? a.channel_end : a.shape.channels;
    const auto block = static_cast<std::ptrdiff_t>(Wide::packed_bytes(w));
    for (std::int64_t b = a.channel_begin / kBlock; b < wide && b * kBlock < end; ++b)
      Wide::run(a, b * kBlock, pixels(a.shape), a.packed + b * block);
    if (wide * kBlock < end) Last::run(a, wide * kBlock, 1, a.packed + wide * block);
  }
};

}  // namespace intact
