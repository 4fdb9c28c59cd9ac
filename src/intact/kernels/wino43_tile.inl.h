// wino43_tile.inl.h: the transforms of wino43_u8s8.h on one tile, over an ISA vocabulary.
//
// The last tile of a line has up to four outputs left. Where they are one or two, its dimension is
// short: of the six points it uses four, 0, 1, 2 and 5, which make F(2, 3) of the same weights,
//
//        | 4  0 -4  0 |        | 1  1  1  0 |
//   B' = | 0 -3 -3  0 |   A' = | 0  1 -1  1 |
//        | 0  3 -3  0 |
//        | 0 -4  0  4 |
//
// 24 times the rational ones as those of (1), so that (2) holds for it too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm_tile.inl.h"

namespace intact {

template <bool kShort>
struct Wino43Line {
  static constexpr int kPoints = kShort ? 4 : 6;
  static constexpr int kOutputs = kShort ? 2 : 4;
  static constexpr int point(int i) noexcept { return kShort && i == 3 ? 5 : i; }
};

// A point is of a class by who uses it: 1 added when a tile must not be short in x, 2 in y.
constexpr int kWino43Classes = 4;
constexpr int wino43_class(int y, int x) noexcept {
  return ((y == 3 || y == 4) ? 2 : 0) + ((x == 3 || x == 4) ? 1 : 0);
}

template <class Isa>
struct Wino43Tile {
  using I32 = typename Isa::I32;
  using S16 = typename Isa::S16;

  // B' times a column.
  template <bool kShort>
  [[gnu::always_inline]] static inline void in(const S16 (&d)[Wino43Line<kShort>::kPoints],
                                               S16 (&out)[Wino43Line<kShort>::kPoints]) noexcept {
    if constexpr (kShort) {
      const auto four = [](S16 x) { return Isa::template shl_s16<2>(x); };
      const auto three = [](S16 x) { return Isa::add_s16(x, Isa::template shl_s16<1>(x)); };
      out[0] = four(Isa::sub_s16(d[0], d[2]));
      out[1] = three(Isa::sub_s16(Isa::set_s16(0), Isa::add_s16(d[1], d[2])));
      out[2] = three(Isa::sub_s16(d[1], d[2]));
      out[3] = four(Isa::sub_s16(d[3], d[1]));
    } else {
      const S16 a = Isa::sub_s16(d[4], Isa::template shl_s16<2>(d[2]));
      const S16 b = Isa::sub_s16(d[3], Isa::template shl_s16<2>(d[1]));
      const S16 c = Isa::sub_s16(d[4], d[2]);
      const S16 e = Isa::template shl_s16<1>(Isa::sub_s16(d[3], d[1]));
      out[0] = Isa::add_s16(Isa::template shl_s16<2>(Isa::sub_s16(d[0], d[2])), c);
      out[1] = Isa::add_s16(a, b);
      out[2] = Isa::sub_s16(a, b);
      out[3] = Isa::add_s16(c, e);
      out[4] = Isa::sub_s16(c, e);
      out[5] = Isa::sub_s16(Isa::sub_s16(d[5], d[3]), Isa::template shl_s16<1>(e));
    }
  }

  // G times a column of three.
  [[gnu::always_inline]] static inline void weights(S16 g0, S16 g1, S16 g2, S16* out,
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

  // A' times a column.
  template <bool kShort>
  [[gnu::always_inline]] static inline void out(const I32 (&m)[Wino43Line<kShort>::kPoints],
                                                I32 (&y)[Wino43Line<kShort>::kOutputs]) noexcept {
    const I32 p = Isa::add(m[1], m[2]);
    const I32 q = Isa::sub(m[1], m[2]);
    if constexpr (kShort) {
      y[0] = Isa::add(m[0], p);
      y[1] = Isa::add(q, m[3]);
    } else {
      const I32 u = Isa::add(m[3], m[4]);
      const I32 v = Isa::sub(m[3], m[4]);
      const I32 twice = Isa::template shl<1>(v);
      y[0] = Isa::add(m[0], Isa::add(p, u));
      y[1] = Isa::add(q, twice);
      y[2] = Isa::add(p, Isa::template shl<2>(u));
      y[3] = Isa::add(q, Isa::template shl<2>(Isa::add(twice, m[5])));
    }
  }

  // 64 times the accumulators of a tile, kLanes columns, from its products, [36][kPanelCols]:
  // put(y, those of line y). The bias goes into point (1, 1), which A' adds to every output. Where
  // registers hold all outputs, each step is done for all of them before the next: a core looks
  // only so far ahead, and a chain of steps is longer than that.
  template <bool kLow, bool kNarrow, class Put>
  [[gnu::always_inline]] static inline void outputs(const std::int32_t* m, I32 bias,
                                                    const Put& put) noexcept {
    using Y = Wino43Line<kLow>;
    using X = Wino43Line<kNarrow>;
    I32 rows[Y::kOutputs][X::kPoints];
#pragma GCC unroll 6
    for (int x = 0; x < X::kPoints; ++x) {
      I32 column[Y::kPoints];
#pragma GCC unroll 6
      for (int y = 0; y < Y::kPoints; ++y)
        column[y] = Isa::load_i32(m + (6 * Y::point(y) + X::point(x)) * kPanelCols);
      if (x == 1) column[1] = Isa::add(column[1], Isa::mul(bias, Isa::set_i32(576)));
      I32 sums[Y::kOutputs];
      out<kLow>(column, sums);
#pragma GCC unroll 4
      for (int y = 0; y < Y::kOutputs; ++y) rows[y][x] = sums[y];
    }
    const I32 ninth = Isa::set_i32(954437177);
    const auto divide = [&](I32(&line)[X::kOutputs]) {
#pragma GCC unroll 4
      for (int x = 0; x < X::kOutputs; ++x) line[x] = Isa::mul(line[x], ninth);
    };
    if constexpr (Isa::kPanelVecs == 1) {
      I32 acc[Y::kOutputs][X::kOutputs];
#pragma GCC unroll 4
      for (int y = 0; y < Y::kOutputs; ++y) out<kNarrow>(rows[y], acc[y]);
      keep_all<Isa>(acc);
#pragma GCC unroll 4
      for (int y = 0; y < Y::kOutputs; ++y) divide(acc[y]);
      keep_all<Isa>(acc);
#pragma GCC unroll 4
      for (int y = 0; y < Y::kOutputs; ++y) put(y, acc[y]);
    } else {
#pragma GCC unroll 4
      for (int y = 0; y < Y::kOutputs; ++y) {
        I32 acc[X::kOutputs];
        out<kNarrow>(rows[y], acc);
        divide(acc);
        put(y, acc);
      }
    }
  }
};

}  // namespace intact
