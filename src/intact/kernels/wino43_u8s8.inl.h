// wino43_u8s8.inl.h: wino43_u8s8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// Tiles are worked on in blocks whose transformed inputs and products stay in L2. Per block:
//
//   V[36][tile][channel]     int16   B' d B, for all input channels
//   M[36][tile][column]      int32   for one group of panels: 36 small products V[i] U[i]
//   outputs                          (2) of a run of tiles in L1, then the common epilogue
//
// Weights are panels of 16 columns, each [36][steps][16][2] int16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/epilogue.inl.h"
#include "kernels/gemm_tile.inl.h"
#include "kernels/wino43_u8s8.h"

namespace intact {

template <class Isa>
struct Wino43Layout {
  static constexpr std::int64_t kPoints = 36;
  static constexpr std::int64_t kMaxTiles = 48;           // A block's.
  static constexpr std::int64_t kBlockBytes = 448 << 10;  // Of V and M together: stays in L2.
  static constexpr std::int64_t kRunTiles = 4;            // Tiles side by side, finished together.
  static constexpr std::int64_t kGroupCols = Isa::kMaxPanels * kPanelCols;

  std::int64_t steps;    // Pairs of input channels.
  std::int64_t v_pitch;  // Bytes of V from tile to tile.

  explicit Wino43Layout(const Wino43Shape& s) noexcept
      : steps((s.in_channels + 1) / 2),
        v_pitch((s.in_channels + Isa::kLanes16 - 1) / Isa::kLanes16 * Isa::kLanes16 * 2) {}

  [[nodiscard]] std::int64_t panel_bytes() const noexcept { return kPoints * steps * 64 + 64; }
  // A multiple of 6 tiles where there is room for 6.
  [[nodiscard]] std::int64_t max_tiles() const noexcept {
    const std::int64_t fit = kBlockBytes / (kPoints * (v_pitch + kGroupCols * 4)) / 6 * 6;
    return fit < 6 ? 6 : fit > kMaxTiles ? kMaxTiles : fit;
  }
  // Odd numbers of lines from point to point: equal strides of 4 KiB would collide in the caches.
  [[nodiscard]] std::int64_t v_bytes(std::int64_t tiles) const noexcept {
    return (tiles * v_pitch + 63) / 64 * 64 | 64;
  }
  static std::int64_t m_bytes(std::int64_t tiles, std::int64_t cols) noexcept {
    return tiles * cols * 4 | 64;
  }

  // Scratch: accumulators of a run of tiles, M, V.
  static constexpr std::int64_t kAccBytes = kRunTiles * 16 * kGroupCols * 4;
  [[nodiscard]] std::int64_t v_at() const noexcept {
    return kAccBytes + kPoints * m_bytes(max_tiles(), kGroupCols);
  }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept {
    return v_at() + kPoints * v_bytes(max_tiles());
  }
};

template <class Isa>
struct Wino43U8S8 {
  using I32 = typename Isa::I32;
  using S16 = typename Isa::S16;
  using Pairs = typename Isa::Pairs;
  using Layout = Wino43Layout<Isa>;
  static constexpr int kPV = Isa::kPanelVecs;

  // B' times a column of six.
  [[gnu::always_inline]] static inline void transform_in(const S16 (&d)[6], S16* out,
                                                         std::ptrdiff_t stride) noexcept {
    const S16 a = Isa::sub_s16(d[4], Isa::template shl_s16<2>(d[2]));
    const S16 b = Isa::sub_s16(d[3], Isa::template shl_s16<2>(d[1]));
    const S16 c = Isa::sub_s16(d[4], d[2]);
    const S16 e = Isa::template shl_s16<1>(Isa::sub_s16(d[3], d[1]));
    out[0] = Isa::add_s16(Isa::template shl_s16<2>(Isa::sub_s16(d[0], d[2])), c);
    out[stride] = Isa::add_s16(a, b);
    out[2 * stride] = Isa::sub_s16(a, b);
    out[3 * stride] = Isa::add_s16(c, e);
    out[4 * stride] = Isa::sub_s16(c, e);
    out[5 * stride] = Isa::sub_s16(Isa::sub_s16(d[5], d[3]), Isa::template shl_s16<1>(e));
  }

  // G times a column of three.
  [[gnu::always_inline]] static inline void transform_weights(S16 g0, S16 g1, S16 g2, S16* out,
                                                              std::ptrdiff_t stride) noexcept {
    const S16 even = Isa::template shl_s16<2>(Isa::add_s16(g0, g2));
    const S16 odd = Isa::template shl_s16<2>(g1);
    const S16 zero = Isa::set_s16(0);
    const S16 far = Isa::add_s16(g0, Isa::template shl_s16<2>(g2));
    const S16 near = Isa::template shl_s16<1>(g1);
    const auto six = [](S16 x) {
      return Isa::add_s16(Isa::template shl_s16<2>(x), Isa::template shl_s16<1>(x));
    };
    out[0] = six(g0);
    out[stride] = Isa::sub_s16(zero, Isa::add_s16(even, odd));
    out[2 * stride] = Isa::sub_s16(odd, even);
    out[3 * stride] = Isa::add_s16(far, near);
    out[4 * stride] = Isa::sub_s16(far, near);
    out[5 * stride] = six(g2);
  }

  // A' times a column of six, which lie `stride` apart.
  [[gnu::always_inline]] static inline void transform_out(const I32 (&m)[6],
                                                          I32 (&out)[4]) noexcept {
    const I32 p = Isa::add(m[1], m[2]);
    const I32 q = Isa::sub(m[1], m[2]);
    const I32 u = Isa::add(m[3], m[4]);
    const I32 v = Isa::sub(m[3], m[4]);
    out[0] = Isa::add(m[0], Isa::add(p, u));
    out[1] = Isa::add(q, Isa::template shl<1>(v));
    out[2] = Isa::add(p, Isa::template shl<2>(u));
    out[3] = Isa::add(Isa::add(q, Isa::template shl<3>(v)), Isa::template shl<2>(m[5]));
  }

  // The 36 input pixels under the tile whose first output is (oy, ox): of an image, or of pointers
  // where some are padding.
  struct Inside {
    const std::uint8_t* first;
    std::ptrdiff_t row_bytes, pixel_bytes;
    [[gnu::always_inline]] inline const std::uint8_t* at(int y, int x) const noexcept {
      return first + y * row_bytes + x * pixel_bytes;
    }
  };
  struct Edge {
    const std::uint8_t* p[36];
    [[gnu::always_inline]] inline const std::uint8_t* at(int y, int x) const noexcept {
      return p[6 * y + x];
    }
  };
  static void tile_in(const Wino43U8S8Args& a, std::int64_t oy, std::int64_t ox, std::byte* v,
                      std::ptrdiff_t point_bytes) noexcept {
    const WindowGeometry& g = a.shape.window;
    const std::int64_t iy = oy - g.pad_top;
    const std::int64_t ix = ox - g.pad_left;
    const Inside tile{a.in + iy * a.in_row_bytes + ix * a.in_pixel_bytes, a.in_row_bytes,
                      a.in_pixel_bytes};
    if (iy >= 0 && iy + 6 <= g.in_h && ix >= 0 && ix + 6 <= g.in_w)
      return transform_tile(tile, a.shape.in_channels, a.za, v, point_bytes);
    Edge edge;
    for (int y = 0; y < 6; ++y)
      for (int x = 0; x < 6; ++x) {
        const bool valid = iy + y >= 0 && iy + y < g.in_h && ix + x >= 0 && ix + x < g.in_w;
        edge.p[6 * y + x] = valid ? tile.at(y, x) : a.pad;
      }
    transform_tile(edge, a.shape.in_channels, a.za, v, point_bytes);
  }

  // V of one tile. The columns of B sum to 0 but the second, which sums to -6: subtracting za from
  // every input takes 36 za from one point.
  template <class Pixels>
  [[gnu::noinline]] static void transform_tile(const Pixels& p, std::int64_t channels,
                                               std::int32_t za, std::byte* v,
                                               std::ptrdiff_t point_bytes) noexcept {
    const S16 offset = Isa::set_s16(36 * za);
    for (std::int64_t c = 0; c < channels; c += Isa::kLanes16) {
      S16 rows[36];
      for (int x = 0; x < 6; ++x) {
        S16 d[6];
        for (int y = 0; y < 6; ++y) d[y] = Isa::widen_s16(p.at(y, x) + c);
        transform_in(d, rows + x, 6);
      }
      std::byte* to = v + 2 * c;
      for (int y = 0; y < 6; ++y) {
        const S16 d[6] = {rows[6 * y],     rows[6 * y + 1], rows[6 * y + 2],
                          rows[6 * y + 3], rows[6 * y + 4], rows[6 * y + 5]};
        S16 out[6];
        transform_in(d, out, 1);
        if (y == 1) out[1] = Isa::sub_s16(out[1], offset);
        for (int x = 0; x < 6; ++x, to += point_bytes)
          Isa::store_s16(reinterpret_cast<std::int16_t*>(to), out[x]);
      }
    }
  }

  // One point's product: `tiles` rows of V by NP panels of U.
  struct Product {
    const std::uint8_t* v;
    std::ptrdiff_t v_pitch;
    const std::int8_t* u;
    std::ptrdiff_t panel_bytes;
    std::int64_t bytes;  // Of K, 4 a step.
    std::int32_t* m;     // [tiles][NP * 16]
  };
  template <int MR, int NP, bool kHalf>
  [[gnu::noinline]] static void multiply(const Product& t, std::int64_t row) noexcept {
    constexpr int NV = NP * kPV;
    I32 acc[MR][NV];
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < NV; ++j) acc[i][j] = Isa::set_i32(0);
    keep_all<Isa, kHalf>(acc);
    const std::uint8_t* p[MR];
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) p[i] = t.v + (row + i) * t.v_pitch;
    multiply_run<Isa, Pairs, MR, NP, false, kHalf>(acc, p, t.u, t.panel_bytes, t.bytes);
    keep_all<Isa, kHalf>(acc);
    if constexpr (kHalf) split_rows<Isa>(acc);
    std::int32_t* m = t.m + row * NP * kPanelCols;
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < NV; ++j) Isa::store_i32(m + (i * NV + j) * Isa::kLanes, acc[i][j]);
  }
  template <int MR, int NP, bool kHalf>
  static void multiply_rows(const Product& t, std::int64_t row, std::int64_t tiles) noexcept {
    for (; tiles - row >= MR; row += MR) multiply<MR, NP, kHalf>(t, row);
    if constexpr (MR > 1) multiply_rows<next_tile_height(MR), NP, kHalf>(t, row, tiles);
  }

  // What stays the same over the outputs of one group of panels.
  struct Group {
    const Wino43U8S8Args* a;
    std::int64_t n;     // First column.
    std::int64_t cols;  // Valid columns.
    std::int64_t tiles_x;
    std::int64_t first_tile;  // Of the block.
    std::int64_t tiles;
    const std::int32_t* m;
    std::int64_t m_stride;  // Elements from point to point.
    std::int32_t* acc;
  };

  // Accumulators of one tile from its 36 products, kLanes columns: put(y, accumulators of its row).
  template <class Put>
  [[gnu::always_inline]] static inline void tile_out(const std::int32_t* m, std::int64_t m_stride,
                                                     I32 bias, const Put& put) noexcept {
    I32 rows[4][6];
    for (int x = 0; x < 6; ++x) {
      I32 column[6];
      I32 out[4];
      for (int y = 0; y < 6; ++y) column[y] = Isa::load_i32(m + (6 * y + x) * m_stride);
      transform_out(column, out);
      for (int y = 0; y < 4; ++y) rows[y][x] = out[y];
    }
    const I32 ninth = Isa::set_i32(954437177);
    for (int y = 0; y < 4; ++y) {
      I32 out[4];
      transform_out(rows[y], out);
      for (int x = 0; x < 4; ++x)
        out[x] = Isa::add(Isa::template sra<6>(Isa::mul(out[x], ninth)), bias);
      put(y, out);
    }
  }

  // Codes of `height` rows of a tile of whole rows without a way through memory, where a panel is
  // a vector. `r` is that of the tile's first pixel.
  static constexpr bool kDirect = kPV == 1 && Isa::kCodeVecs == 4;
  template <int NP, Residual kResidual>
  [[gnu::noinline]] static void tile_codes(const Group& g, EpilogueTile r, const std::int32_t* m,
                                           std::int64_t height) noexcept {
    const Wino43U8S8Args& a = *g.a;
    const CodeLimits& k = r.e->codes;
    const auto consts = Isa::code_consts(k.zero, k.lo, k.hi);
    const typename EpilogueRows<Isa>::template Coder<false, kResidual, false> code(r);
    std::byte* const first = r.out;
    const std::uint8_t* const first_r = r.r;
    const std::ptrdiff_t r_row_bytes = a.shape.window.out_w * r.e->r_row_bytes;
    for (std::int64_t n = 0; n < NP * kPanelCols; n += kPanelCols)
      tile_out(m + n, g.m_stride, Isa::load_i32(a.bias + g.n + n), [&](int y, const I32(&acc)[4]) {
        if (y >= height) return;
        if constexpr (kResidual != Residual::kNone) r.r = first_r + y * r_row_bytes;
        I32 q[4][1];
        for (int x = 0; x < 4; ++x) q[x][0] = code.of(acc[x], x, n);
        Isa::template store_codes<1, 4>(
            reinterpret_cast<std::uint8_t*>(first + y * a.out_row_bytes) + n, a.out_pixel_bytes, q,
            consts, g.cols - n, r.e->lut);
      });
  }

  template <int NP>
  [[gnu::noinline]] static void outputs(const Group& g) noexcept {
    constexpr std::int64_t kCols = NP * kPanelCols;
    const Wino43U8S8Args& a = *g.a;
    const Epilogue& e = a.epilogue;
    const std::int64_t out_w = a.shape.window.out_w;
    EpilogueTile r{};
    r.acc_stride = kCols;
    r.cols = g.cols;
    r.out_row_bytes = a.out_pixel_bytes;
    r.e = &e;
    r.m = e.m + g.n;
    r.c = e.c + g.n;
    if (e.is_mapped()) {
      r.g_m = e.g_m + g.n;
      r.g_c = e.g_c + g.n;
    }
    if (e.steps) r.steps = e.steps.v + g.n;
    EpilogueRows<Isa>::judge(r, g.n, g.cols);
    const bool direct = kDirect && r.small && !e.function;
    for (std::int64_t t = 0; t < g.tiles;) {
      const std::int64_t tx = (g.first_tile + t) % g.tiles_x;
      const std::int64_t oy = (g.first_tile + t) / g.tiles_x * 4;
      const std::int64_t ox = tx * 4;
      const std::int64_t out_h = a.shape.window.out_h;
      const std::int64_t height = out_h - oy < 4 ? out_h - oy : 4;
      if constexpr (kDirect) {
        if (direct && out_w - ox >= 4) {
          r.out =
              static_cast<std::byte*>(a.out) + oy * a.out_row_bytes + ox * a.out_pixel_bytes + g.n;
          r.r = e.residual_at(oy * out_w + ox, g.n);
          const std::int32_t* m = g.m + t * kCols;
          if (e.residual == Residual::kNone)
            tile_codes<NP, Residual::kNone>(g, r, m, height);
          else if (e.residual == Residual::kAfterCode)
            tile_codes<NP, Residual::kAfterCode>(g, r, m, height);
          else
            tile_codes<NP, Residual::kBeforeCode>(g, r, m, height);
          ++t;
          continue;
        }
      }
      std::int64_t run = g.tiles - t < Layout::kRunTiles ? g.tiles - t : Layout::kRunTiles;
      if (g.tiles_x - tx < run) run = g.tiles_x - tx;
      const std::int64_t row_stride = run * 4 * kCols;
      for (std::int64_t i = 0; i < run; ++i)
        for (int v = 0; v < NP * kPV; ++v) {
          std::int32_t* const to = g.acc + i * 4 * kCols + v * Isa::kLanes;
          tile_out(g.m + (t + i) * kCols + v * Isa::kLanes, g.m_stride,
                   Isa::load_i32(a.bias + g.n + v * Isa::kLanes), [=](int y, const I32(&acc)[4]) {
                     for (int x = 0; x < 4; ++x)
                       Isa::store_i32(to + y * row_stride + x * kCols, acc[x]);
                   });
        }
      t += run;
      r.rows = out_w - ox < run * 4 ? out_w - ox : run * 4;
      for (std::int64_t y = 0; y < height; ++y) {
        r.acc = g.acc + y * row_stride;
        r.row = (oy + y) * out_w + ox;
        r.out = static_cast<std::byte*>(a.out) + (oy + y) * a.out_row_bytes +
                ox * a.out_pixel_bytes + g.n * (e.kind == EpilogueKind::kCodes ? 1 : 4);
        r.r = e.residual_at(r.row, g.n);
        EpilogueRows<Isa>::run(r);
      }
    }
  }

  template <int NP>
  static void run_group(const Group& g, Product t, std::int64_t v_bytes,
                        std::int64_t panels) noexcept {
    if constexpr (NP > 1) {
      if (panels < NP) return run_group<NP - 1>(g, t, v_bytes, panels);
    }
    const std::int64_t m_bytes = Layout::m_bytes(g.tiles, NP * kPanelCols);
    constexpr bool kHalfPanel = Isa::kHalfPanels && NP > 1;
    const bool half = kHalfPanel && g.cols <= NP * kPanelCols - kPanelCols / 2;
    for (int point = 0; point < Layout::kPoints; ++point) {
      if (half)
        multiply_rows<Isa::kTileM[NP], NP, kHalfPanel>(t, 0, g.tiles);
      else
        multiply_rows<Isa::kTileM[NP], NP, false>(t, 0, g.tiles);
      t.v += v_bytes;
      t.u += t.bytes * kPanelCols;
      t.m += m_bytes / 4;
    }
    Group out = g;
    out.m_stride = m_bytes / 4;
    outputs<NP>(out);
  }

  static void run(const Wino43U8S8Args& a) {
    if (a.tile_begin >= a.tile_end || a.panel_begin >= a.panel_end) return;
    const Layout l(a.shape);
    const std::int64_t tiles_x = wino43_tiles_x(a.shape.window);
    const std::int64_t tiles = a.tile_end - a.tile_begin;
    // Blocks of about equal size, in whole register tiles.
    const std::int64_t blocks = (tiles + l.max_tiles() - 1) / l.max_tiles();
    const std::int64_t block = ((tiles + blocks - 1) / blocks + 5) / 6 * 6;
    std::byte* v = a.scratch + l.v_at();

    Group g{};
    g.a = &a;
    g.tiles_x = tiles_x;
    g.acc = reinterpret_cast<std::int32_t*>(a.scratch);
    g.m = reinterpret_cast<const std::int32_t*>(a.scratch + Layout::kAccBytes);
    Product t{};
    t.v = reinterpret_cast<const std::uint8_t*>(v);
    t.v_pitch = l.v_pitch;
    t.panel_bytes = l.panel_bytes();
    t.bytes = l.steps * 4;
    t.m = reinterpret_cast<std::int32_t*>(a.scratch + Layout::kAccBytes);
    for (std::int64_t t0 = a.tile_begin; t0 < a.tile_end; t0 += block) {
      g.first_tile = t0;
      g.tiles = a.tile_end - t0 < block ? a.tile_end - t0 : block;
      const std::int64_t v_bytes = l.v_bytes(g.tiles);
      for (std::int64_t i = 0; i < g.tiles; ++i) {
        tile_in(a, (t0 + i) / tiles_x * 4, (t0 + i) % tiles_x * 4, v + i * l.v_pitch, v_bytes);
      }
      for (std::int64_t panel = a.panel_begin; panel < a.panel_end;) {
        const std::int64_t panels = next_panel_group<Isa>(a.panel_end - panel);
        g.n = panel * kPanelCols;
        const std::int64_t left = a.shape.out_channels - g.n;
        g.cols = left < panels * kPanelCols ? left : panels * kPanelCols;
        t.u = reinterpret_cast<const std::int8_t*>(a.packed) + panel * t.panel_bytes;
        run_group<Isa::kMaxPanels>(g, t, v_bytes, panels);
        panel += panels;
      }
    }
  }

  static std::size_t packed_bytes(const Wino43Shape& s) {
    return static_cast<std::size_t>(panels_of(s.out_channels) * Layout(s).panel_bytes());
  }
  static std::size_t scratch_bytes(const Wino43Shape& s) {
    return static_cast<std::size_t>(Layout(s).scratch_bytes());
  }

  // A step of a panel, 16 columns by two channels, is transformed at once.
  static void pack(const Wino43Shape& s, const GemmBSource& w, std::int64_t panel_begin,
                   std::int64_t panel_end, std::byte* packed) {
    constexpr int kStep = 2 * kPanelCols;
    const Layout l(s);
    for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
      auto* out = reinterpret_cast<std::int16_t*>(packed + panel * l.panel_bytes());
      for (std::int64_t step = 0; step < l.steps; ++step, out += kStep) {
        std::int16_t g[9][kStep] = {};
        for (int col = 0; col < kPanelCols; ++col)
          for (int i = 0; i < 2; ++i) {
            const std::int64_t n = panel * kPanelCols + col;
            const std::int64_t c = 2 * step + i;
            if (n >= s.out_channels || c >= s.in_channels) continue;
            const auto* from = static_cast<const std::int8_t*>(w.b) + c * w.k_bytes + n * w.n_bytes;
            const int at = col / Isa::kLanes * 2 * Isa::kLanes + Pairs::index(col % Isa::kLanes, i);
            for (int tap = 0; tap < 9; ++tap) g[tap][at] = from[tap * w.tap_bytes];
          }
        for (int at = 0; at < kStep; at += Isa::kLanes16) {
          S16 rows[18];  // [6][3]
          for (int x = 0; x < 3; ++x)
            transform_weights(Isa::load_s16(g[x] + at), Isa::load_s16(g[3 + x] + at),
                              Isa::load_s16(g[6 + x] + at), rows + x, 3);
          for (int y = 0; y < 6; ++y) {
            S16 u[6];
            transform_weights(rows[3 * y], rows[3 * y + 1], rows[3 * y + 2], u, 1);
            for (int x = 0; x < 6; ++x)
              Isa::store_s16(out + (6 * y + x) * l.steps * kStep + at, u[x]);
          }
        }
      }
    }
  }
};

}  // namespace intact
