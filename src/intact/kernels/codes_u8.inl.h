// codes_u8.inl.h: codes_u8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// Everything runs on runs of kRun codes (kCodeVecs vectors of int32 or float lanes); a run that is
// not full reads whole vectors of codes (the operands have slack) and stores what is valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/codes_u8.h"
#include "kernels/rows_f32.inl.h"

namespace intact {

template <class Isa>
struct CodesU8 {
  using I32 = typename Isa::I32;
  using F32 = typename Isa::F32;
  static constexpr int kV = Isa::kCodeVecs;
  static constexpr std::int64_t kRun = std::int64_t{kV} * Isa::kLanes;

  static void lut(const std::uint8_t* x, std::uint8_t* y, std::int64_t count,
                  const std::uint8_t* table) {
    Isa::lut(x, y, count, table);
  }

  // `n` valid lanes of a vector, read exactly.
  [[gnu::always_inline]] static inline F32 load_exact(const float* p, std::int64_t n) noexcept {
    if (n >= Isa::kLanes) [[likely]]
      return Isa::load_f32(p);
    return n > 0 ? Isa::load_f32(p, n) : Isa::set_f32(0.0f);
  }

  // Vector j of a run's row of n valid elements.
  template <bool kFull>
  [[gnu::always_inline]] static inline F32 load_run(const float* p, int j,
                                                    std::int64_t n) noexcept {
    const std::int64_t at = std::int64_t{j} * Isa::kLanes;
    return kFull ? Isa::load_f32(p + at) : load_exact(p + at, n - at);
  }

  // Calls run<kFull>(first, count) for runs of kRun elements and for what is left.
  template <class Run>
  [[gnu::always_inline]] static inline void for_full_runs(std::int64_t count,
                                                          const Run& run) noexcept {
    std::int64_t i = 0;
    for (; i + kRun <= count; i += kRun) run.template operator()<true>(i, kRun);
    if (i < count) run.template operator()<false>(i, count - i);
  }

  // How a vector of reals becomes what store_codes packs with `consts`: by IEEE division.
  struct ByDivision {
    explicit ByDivision(const QuantParams& p) noexcept
        : scale(Isa::set_f32(p.scale[0])),
          lo(Isa::set_f32(static_cast<float>(p.lo - p.zero[0]))),
          hi(Isa::set_f32(static_cast<float>(p.hi - p.zero[0]))),
          zero(Isa::set_i32(p.zero[0])),
          consts(Isa::code_consts(0, 0, 255)) {}
    [[gnu::always_inline]] inline I32 operator()(F32 x) const noexcept {
      const F32 f = Isa::nan_to_zero(Isa::div(x, scale));
      return Isa::add(Isa::to_i32(Isa::max(Isa::min(f, hi), lo)), zero);
    }
    F32 scale, lo, hi;
    I32 zero;
    typename Isa::CodeConsts consts;
  };

  // The same by multiplication (exact_inverse.h). x is brought within one code of the limits first,
  // where everything is finite and the packing finds the right end.
  struct ByInverse {
    explicit ByInverse(const QuantParams& p) noexcept
        : minus_scale(Isa::set_f32(-p.scale[0])),
          inverse(Isa::set_f32(p.inverse)),
          lo(Isa::set_f32(static_cast<float>(p.lo - p.zero[0] - 1) * p.scale[0])),
          hi(Isa::set_f32(static_cast<float>(p.hi - p.zero[0] + 1) * p.scale[0])),
          consts(Isa::code_consts(p.zero[0], p.lo, p.hi)) {}
    [[gnu::always_inline]] inline I32 operator()(F32 x) const noexcept {
      const F32 v = Isa::max(Isa::min(Isa::nan_to_zero(x), hi), lo);
      const F32 f = Isa::mul(v, inverse);
      return Isa::to_i32(Isa::fma(Isa::fma(f, minus_scale, v), inverse, f));
    }
    F32 minus_scale, inverse, lo, hi;
    typename Isa::CodeConsts consts;
  };

  // Up to kRun codes of x, whose vectors factor(j, v) changes first; n == kRun where kFull.
  template <bool kFull, class Way, class Factor>
  [[gnu::always_inline]] static inline void quantize_run(const float* x, std::int64_t n,
                                                         const Way& way, const Factor& factor,
                                                         std::uint8_t* q) noexcept {
    I32 r[kV];
#pragma GCC unroll 4
    for (int j = 0; j < kV; ++j) r[j] = way(factor(j, load_run<kFull>(x, j, n)));
    Isa::template store_codes<kV>(q, r, way.consts, kFull ? kRun : n, nullptr);
  }

  template <class Way, bool kFactor>
  static void quantize_row(const float* x, std::int64_t cols, const QuantParams& p,
                           std::uint8_t* q) noexcept {
    const Way way(p);
    for_full_runs(cols, [&]<bool kFull>(std::int64_t i, std::int64_t n) noexcept {
      const auto factor = [&](int j, F32 v) noexcept {
        return kFactor ? Isa::mul(v, load_run<kFull>(p.factor + i, j, n)) : v;
      };
      quantize_run<kFull>(x + i, n, way, factor, q + i);
    });
  }

  // A scale and a zero point a column.
  static void quantize_row_by_col(const float* x, std::int64_t cols, const QuantParams& p,
                                  std::uint8_t* q) noexcept {
    const F32 lo_code = Isa::set_f32(static_cast<float>(p.lo));
    const F32 hi_code = Isa::set_f32(static_cast<float>(p.hi));
    const auto none = Isa::code_consts(0, 0, 255);
    for (std::int64_t i = 0; i < cols; i += kRun) {
      I32 r[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) {
        const std::int64_t at = i + std::int64_t{j} * Isa::kLanes;
        const std::int64_t n = cols - at;
        std::int32_t zeros[Isa::kLanes] = {};
        for (int l = 0; l < Isa::kLanes && l < n; ++l) zeros[l] = p.zero[at + l];
        const I32 zero = Isa::load_i32(zeros);
        const F32 z = Isa::to_f32(zero);
        const F32 scale = n > 0 ? load_exact(p.scale + at, n) : Isa::set_f32(1.0f);
        const F32 f = Isa::nan_to_zero(Isa::div(load_exact(x + at, n), scale));
        const F32 bounded = Isa::max(Isa::min(f, Isa::sub(hi_code, z)), Isa::sub(lo_code, z));
        r[j] = Isa::add(Isa::to_i32(bounded), zero);
      }
      Isa::template store_codes<kV>(q + i, r, none, cols - i, nullptr);
    }
  }

  static void quantize(const float* x, std::int64_t rows, std::int64_t cols, const QuantParams& p,
                       std::uint8_t* q) {
    const bool factor = p.factor != nullptr;
    const bool by_row = p.per_col || factor;
    const auto run = p.per_col ? quantize_row_by_col
                     : p.inverse != 0
                         ? factor ? quantize_row<ByInverse, true> : quantize_row<ByInverse, false>
                     : factor ? quantize_row<ByDivision, true>
                              : quantize_row<ByDivision, false>;
    if (!by_row) return run(x, rows * cols, p, q);
    for (std::int64_t r = 0; r < rows; ++r) run(x + r * cols, cols, p, q + r * cols);
  }

  template <class Way>
  static void quantize_planes_by(const QuantizePlanesArgs& g) noexcept {
    const QuantParams p{.scale = &g.scale, .zero = &g.zero, .inverse = g.inverse};
    const Way way(p);
    alignas(64) std::uint8_t codes[kMaxPlanes * kRun];
    // The last run begins earlier where it can: it is full too.
    const std::int64_t last = g.count < kRun ? 0 : g.count - kRun;
    for (std::int64_t done = 0; done < g.count; done += kRun) {
      const std::int64_t i = done < last ? done : last;
      for (std::int64_t c = 0; c < g.channels; ++c) {
        const float* x = g.x + c * g.plane + i;
        // An image's next row: a plane's pages are too many for the processor to foresee.
        for (std::int64_t j = 0; j < kRun; j += 16) __builtin_prefetch(x + g.count + j);
        std::uint8_t* q = codes + c * kRun;
        const F32 k = Isa::set_f32(g.factor != nullptr ? g.factor[c] : 1.0f);
        const auto factor = [&](int, F32 v) noexcept { return Isa::mul(v, k); };
        const auto same = [](int, F32 v) noexcept { return v; };
        if (g.count < kRun)
          quantize_run<false>(x, g.count, way, factor, q);
        else if (g.factor != nullptr)
          quantize_run<true>(x, kRun, way, factor, q);
        else
          quantize_run<true>(x, kRun, way, same, q);
      }
      interleave(codes, kRun, g.channels, g.count < kRun ? g.count : kRun, g.y + i * g.channels);
    }
  }

  static void quantize_planes(const QuantizePlanesArgs& g) {
    g.inverse != 0 ? quantize_planes_by<ByInverse>(g) : quantize_planes_by<ByDivision>(g);
  }

  // Calls run<kVecs, kFull>(first column, columns) for runs of columns that fit kVecs vectors, and
  // fill them where kFull: what is known of the columns stays in registers for all rows.
  template <class Run>
  [[gnu::always_inline]] static inline void for_runs(std::int64_t cols, const Run& run) noexcept {
    std::int64_t i = 0;
    for (; i + kRun <= cols; i += kRun) run.template operator()<kV, true>(i, kRun);
    const std::int64_t n = cols - i;
    if (n == 0) return;
    if constexpr (Isa::kAnyCodeVecs) {
      if (n == Isa::kLanes) return run.template operator()<1, true>(i, n);
      if (n < Isa::kLanes) return run.template operator()<1, false>(i, n);
      if (n == 2 * Isa::kLanes) return run.template operator()<2, true>(i, n);
      if (n < 2 * Isa::kLanes) return run.template operator()<2, false>(i, n);
    }
    run.template operator()<kV, false>(i, n);
  }

  // The same with a map a column.
  static void quantize_cols(const QuantizeColsArgs& g) {
    const auto none = Isa::code_consts(0, 0, 255);
    for_runs(g.cols, [&]<int kVecs, bool kFull>(std::int64_t i, std::int64_t n) noexcept {
      F32 minus_scale[kVecs], inverse[kVecs], lo[kVecs], hi[kVecs];
      I32 zero[kVecs];
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) {
        std::int32_t zeros[Isa::kLanes] = {};
        const std::int64_t at = std::int64_t{j} * Isa::kLanes;
        for (int l = 0; l < Isa::kLanes && at + l < n; ++l) zeros[l] = g.zero[i + at + l];
        zero[j] = Isa::load_i32(zeros);
        const F32 scale = load_run<kFull>(g.scale + i, j, n);
        inverse[j] = load_run<kFull>(g.inverse + i, j, n);
        minus_scale[j] = Isa::sub(Isa::set_f32(0.0f), scale);
        lo[j] = Isa::mul(Isa::sub(Isa::set_f32(-1.0f), Isa::to_f32(zero[j])), scale);
        hi[j] = Isa::mul(Isa::sub(Isa::set_f32(256.0f), Isa::to_f32(zero[j])), scale);
      }
      for (std::int64_t row = 0; row < g.rows; ++row) {
        const float* x = g.x + row * g.x_stride + i;
        I32 r[kVecs];
#pragma GCC unroll 4
        for (int j = 0; j < kVecs; ++j) {
          const F32 raw = Isa::nan_to_zero(load_run<kFull>(x, j, n));
          const F32 v = Isa::max(Isa::min(raw, hi[j]), lo[j]);
          const F32 f = Isa::mul(v, inverse[j]);
          r[j] = Isa::to_i32(Isa::fma(Isa::fma(f, minus_scale[j], v), inverse[j], f));
          r[j] = Isa::add(r[j], zero[j]);
        }
        Isa::template store_codes<kVecs>(g.y + row * g.y_row_bytes + i, r, none, n, nullptr);
      }
    });
  }

  template <bool kPerCol>
  static void dequantize_row(const std::uint8_t* q, std::int64_t cols, const QuantParams& p,
                             float* x) noexcept {
    F32 scale = Isa::set_f32(p.scale[0]);
    I32 zero = Isa::set_i32(p.zero[0]);
    for (std::int64_t i = 0; i < cols; i += Isa::kLanes) {
      const std::int64_t n = cols - i;
      if constexpr (kPerCol) {
        std::int32_t zeros[Isa::kLanes] = {};
        for (int l = 0; l < Isa::kLanes && l < n; ++l) zeros[l] = p.zero[i + l];
        zero = Isa::load_i32(zeros);
        scale = load_exact(p.scale + i, n);
      }
      const F32 f = Isa::mul(Isa::to_f32(Isa::sub(Isa::load_u8(q + i), zero)), scale);
      if (n >= Isa::kLanes)
        Isa::store_f32(x + i, f);
      else
        Isa::store_f32(x + i, f, n);
    }
  }

  static void dequantize(const std::uint8_t* q, std::int64_t rows, std::int64_t cols,
                         const QuantParams& p, float* x) {
    if (!p.per_col) return dequantize_row<false>(q, rows * cols, p, x);
    for (std::int64_t r = 0; r < rows; ++r)
      dequantize_row<true>(q + r * cols, cols, p, x + r * cols);
  }

  // One row of equation (3) or (4). kSafe: no value can leave int32, so that the bounds may wait
  // until the codes are packed bytes.
  template <bool kMul, Operand kB, bool kSafe>
  static void binary_row(const BinaryU8Args& g, const std::uint8_t* a, const std::uint8_t* b,
                         std::int64_t cols, std::uint8_t* y) noexcept {
    const I32 za = Isa::set_i32(g.za);
    const I32 zb = Isa::set_i32(g.zb);
    const F32 ra = Isa::set_f32(g.ra);
    const F32 rb = Isa::set_f32(g.rb);
    const F32 lo = Isa::set_f32(static_cast<float>(g.codes.lo - g.codes.zero));
    const F32 hi = Isa::set_f32(static_cast<float>(g.codes.hi - g.codes.zero));
    const auto consts = Isa::code_consts(g.codes.zero, g.codes.lo, g.codes.hi);
    F32 fb = kB == Operand::kScalar ? Isa::set_f32(static_cast<float>(b[0] - g.zb)) : ra;
    if (!kMul && kB == Operand::kScalar) fb = Isa::mul(fb, rb);
    for (std::int64_t i = 0; i < cols; i += kRun) {
      I32 r[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) {
        const std::int64_t at = i + std::int64_t{j} * Isa::kLanes;
        const F32 fa = Isa::to_f32(Isa::sub(Isa::load_u8(a + at), za));
        if constexpr (kB != Operand::kScalar) {
          fb = Isa::to_f32(Isa::sub(Isa::load_u8(b + at), zb));
          if constexpr (!kMul) fb = Isa::mul(fb, rb);
        }
        // The product of two differences of codes is below 2^24: exact in float.
        F32 f = kMul ? Isa::mul(Isa::mul(fa, fb), ra) : Isa::fma(fa, ra, fb);
        if constexpr (!kSafe) f = Isa::max(Isa::min(f, hi), lo);
        r[j] = Isa::to_i32(f);
      }
      Isa::template store_codes<kV>(y + i, r, consts, cols - i, g.lut);
    }
  }

  template <bool kMul, Operand kB>
  static void binary_rows(const BinaryU8Args& g) noexcept {
    // |f| <= 255 (|ra| + |rb|) or 255^2 |ra|.
    const bool safe = g.ra < 0x1p14f && g.ra > -0x1p14f && g.rb < 0x1p14f && g.rb > -0x1p14f;
    std::int64_t rows = g.rows;
    std::int64_t cols = g.cols;
    if (g.a_row_bytes == cols && g.y_row_bytes == cols &&
        (kB == Operand::kScalar || (kB == Operand::kSame && g.b_row_bytes == cols))) {
      cols *= rows;
      rows = 1;
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::uint8_t* a = g.a + i * g.a_row_bytes;
      const std::uint8_t* b = kB == Operand::kSame ? g.b + i * g.b_row_bytes : g.b;
      std::uint8_t* y = g.y + i * g.y_row_bytes;
      if (safe)
        binary_row<kMul, kB, true>(g, a, b, cols, y);
      else
        binary_row<kMul, kB, false>(g, a, b, cols, y);
    }
  }

  template <bool kMul>
  static void binary(const BinaryU8Args& g) noexcept {
    if (g.rows <= 0 || g.cols <= 0) return;
    switch (g.b_kind) {
      case Operand::kSame:
        return binary_rows<kMul, Operand::kSame>(g);
      case Operand::kScalar:
        return binary_rows<kMul, Operand::kScalar>(g);
      case Operand::kPerCol:
        return binary_rows<kMul, Operand::kPerCol>(g);
    }
  }

  // Equation (5). kPerCol: a and c stay in registers for all rows; otherwise rows are long.
  template <bool kPerCol, bool kResidual>
  static void encode_rows(const EncodeU8Args& g, std::int64_t rows, std::int64_t cols) noexcept {
    const F32 one_a = Isa::set_f32(g.a[0]);
    const F32 one_c = Isa::set_f32(g.c[0]);
    const F32 lo = Isa::set_f32(static_cast<float>(g.codes.lo - g.codes.zero));
    const F32 hi = Isa::set_f32(static_cast<float>(g.codes.hi - g.codes.zero));
    const F32 r_ratio = Isa::set_f32(g.r_ratio);
    const I32 r_zero = Isa::set_i32(g.r_zero);
    const auto consts = Isa::code_consts(g.codes.zero, g.codes.lo, g.codes.hi);
    for_runs(cols, [&]<int kVecs, bool kFull>(std::int64_t i, std::int64_t n) noexcept {
      F32 a[kVecs], c[kVecs];
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) {
        a[j] = kPerCol ? load_run<kFull>(g.a + i, j, n) : one_a;
        c[j] = kPerCol ? load_run<kFull>(g.c + i, j, n) : one_c;
      }
      for (std::int64_t row = 0; row < rows; ++row) {
        const float* x = g.x + row * g.x_stride + i;
        I32 q[kVecs];
#pragma GCC unroll 4
        for (int j = 0; j < kVecs; ++j) {
          F32 f = Isa::fma(load_run<kFull>(x, j, n), a[j], c[j]);
          if constexpr (kResidual) {
            const std::uint8_t* r = g.r + row * g.r_row_bytes + i + std::int64_t{j} * Isa::kLanes;
            f = Isa::add(f, Isa::mul(Isa::to_f32(Isa::sub(Isa::load_u8(r), r_zero)), r_ratio));
          }
          q[j] = Isa::to_i32(Isa::max(Isa::min(Isa::nan_to_zero(f), hi), lo));
        }
        Isa::template store_codes<kVecs>(g.y + row * g.y_row_bytes + i, q, consts, n, nullptr);
      }
    });
  }

  static void encode(const EncodeU8Args& g) {
    std::int64_t rows = g.rows;
    std::int64_t cols = g.cols;
    if (!g.per_col && g.x_stride == cols && g.y_row_bytes == cols &&
        (g.r == nullptr || g.r_row_bytes == cols)) {
      cols *= rows;
      rows = 1;
    }
    if (g.per_col)
      g.r == nullptr ? encode_rows<true, false>(g, rows, cols)
                     : encode_rows<true, true>(g, rows, cols);
    else
      g.r == nullptr ? encode_rows<false, false>(g, rows, cols)
                     : encode_rows<false, true>(g, rows, cols);
  }

  // Equation (6), kRows rows side by side.
  template <int kRows>
  static void softmax_rows(const SoftmaxU8Args& g, std::int64_t row) noexcept {
    using Floats = typename Isa::Floats;
    using Rows = RowsF32<Floats>;
    float* x = g.x + row * g.x_stride;
    const SoftmaxF32Args e{kRows, g.cols, x, g.x_stride, x, g.x_stride, false};
    typename Floats::V total[kRows];
    // A NaN shows in the sum, whatever the maximum.
    Rows::template exp_rows<kRows, false, MaxOfNumbersF32>(e, 0, total);
    const F32 hi = Isa::set_f32(static_cast<float>(255 - g.zero));
    const auto consts = Isa::code_consts(g.zero, 0, 255);
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q) {
      const auto scaled = Floats::mul(total[q], Floats::set(g.scale));
      const float factor = Rows::first_lane(Floats::div(Floats::set(1.0f), scaled));
      std::uint8_t* y = g.y + (row + q) * g.y_row_bytes;
      if (factor != factor) {
        std::memset(y, g.zero, static_cast<std::size_t>(g.cols));
        continue;
      }
      const F32 k = Isa::set_f32(factor);
      const float* from = x + q * g.x_stride;
      for_runs(g.cols, [&]<int kVecs, bool kFull>(std::int64_t i, std::int64_t n) noexcept {
        I32 r[kVecs];
#pragma GCC unroll 4
        for (int j = 0; j < kVecs; ++j)
          r[j] = Isa::to_i32(Isa::min(Isa::mul(load_run<kFull>(from + i, j, n), k), hi));
        Isa::template store_codes<kVecs>(y + i, r, consts, n, nullptr);
      });
    }
  }
  static void softmax(const SoftmaxU8Args& g) {
    constexpr int kTogether = RowsF32<typename Isa::Floats>::kTogether;
    std::int64_t r = 0;
    for (; r + kTogether <= g.rows; r += kTogether) softmax_rows<kTogether>(g, r);
    for (; r < g.rows; ++r) softmax_rows<1>(g, r);
  }

  // A run of an operand's row `row` from column i.
  template <bool kFull>
  [[gnu::always_inline]] static inline void fetch(const ArithmeticOperand& o, std::int64_t row,
                                                  std::int64_t i, std::int64_t n,
                                                  F32 (&v)[kV]) noexcept {
    const std::int64_t at = row * o.row + (o.one ? 0 : i);
    if (o.one) {
      const float x =
          o.reals != nullptr ? o.reals[at] : static_cast<float>(o.codes[at] - o.zero) * o.scale;
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) v[j] = Isa::set_f32(x);
    } else if (o.reals != nullptr) {
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) v[j] = load_run<kFull>(o.reals + at, j, n);
    } else {
      const F32 scale = Isa::set_f32(o.scale);
      const I32 zero = Isa::set_i32(o.zero);
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) {
        const I32 q = Isa::load_u8(o.codes + at + std::int64_t{j} * Isa::kLanes);
        v[j] = Isa::mul(Isa::to_f32(Isa::sub(q, zero)), scale);
      }
    }
  }

  template <class F>
  [[gnu::always_inline]] static inline void combine(F32 (&v)[kV], const F32 (&b)[kV],
                                                    const F& f) noexcept {
#pragma GCC unroll 4
    for (int j = 0; j < kV; ++j) v[j] = f(v[j], b[j]);
  }

  // Calls store<kFull>(place in y, v, n) for the results.
  template <class Store>
  [[gnu::always_inline]] static inline void arithmetic_rows(const ArithmeticArgs& g,
                                                            const Store& store) noexcept {
    using Op = ArithmeticStep::Op;
    for (std::int64_t row = 0; row < g.rows; ++row)
      for_full_runs(g.cols, [&]<bool kFull>(std::int64_t i, std::int64_t n) noexcept {
        F32 v[kV], b[kV];
        fetch<kFull>(g.x, row, i, n, v);
        for (std::int64_t k = 0; k < g.count; ++k) {
          fetch<kFull>(g.steps[k].b, row, i, n, b);
          switch (g.steps[k].op) {
            case Op::kAdd:
              combine(v, b, [](F32 x, F32 y) noexcept { return Isa::add(x, y); });
              break;
            case Op::kSub:
              combine(v, b, [](F32 x, F32 y) noexcept { return Isa::sub(x, y); });
              break;
            case Op::kMul:
              combine(v, b, [](F32 x, F32 y) noexcept { return Isa::mul(x, y); });
              break;
            case Op::kDiv:
              combine(v, b, [](F32 x, F32 y) noexcept { return Isa::div(x, y); });
              break;
            case Op::kRSub:
              combine(v, b, [](F32 x, F32 y) noexcept { return Isa::sub(y, x); });
              break;
            case Op::kRDiv:
              combine(v, b, [](F32 x, F32 y) noexcept { return Isa::div(y, x); });
              break;
          }
        }
        store.template operator()<kFull>(row * g.cols + i, v, n);
      });
  }

  template <class Way>
  static void arithmetic_codes(const ArithmeticArgs& g) noexcept {
    const QuantParams p{.scale = &g.scale, .zero = &g.zero, .inverse = g.inverse};
    const Way way(p);
    arithmetic_rows(
        g, [&]<bool kFull>(std::int64_t at, const F32(&v)[kV], std::int64_t n) noexcept {
          I32 r[kV];
#pragma GCC unroll 4
          for (int j = 0; j < kV; ++j) r[j] = way(v[j]);
          Isa::template store_codes<kV>(g.codes + at, r, way.consts, kFull ? kRun : n, nullptr);
        });
  }

  static void arithmetic(const ArithmeticArgs& g) {
    if (g.codes != nullptr)
      return g.inverse != 0 ? arithmetic_codes<ByInverse>(g) : arithmetic_codes<ByDivision>(g);
    arithmetic_rows(g,
                    [&]<bool kFull>(std::int64_t at, const F32(&v)[kV], std::int64_t n) noexcept {
#pragma GCC unroll 4
                      for (int j = 0; j < kV; ++j) {
                        const std::int64_t left = n - std::int64_t{j} * Isa::kLanes;
                        float* y = g.reals + at + std::int64_t{j} * Isa::kLanes;
                        if (kFull || left >= Isa::kLanes)
                          Isa::store_f32(y, v[j]);
                        else if (left > 0)
                          Isa::store_f32(y, v[j], left);
                      }
                    });
  }

  static void interleave(const std::uint8_t* x, std::ptrdiff_t plane, std::int64_t channels,
                         std::int64_t count, std::uint8_t* y) {
    std::int64_t i = 0;
    if (channels == 1) {
      std::memcpy(y, x, static_cast<std::size_t>(count));
      return;
    }
    if (channels == 3)
      for (; i + Isa::kThirds <= count; i += Isa::kThirds)
        Isa::interleave3(x + i, x + plane + i, x + 2 * plane + i, y + 3 * i);
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t j = i; j < count; ++j) y[j * channels + c] = x[c * plane + j];
  }

  static void add(const BinaryU8Args& args) { binary<false>(args); }
  static void mul(const BinaryU8Args& args) { binary<true>(args); }
};

}  // namespace intact
