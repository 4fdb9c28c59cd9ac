// epilogue.inl.h: epilogue.h for accumulators that lie in memory, over an ISA vocabulary.
//
// Kernels finish the common cases in their registers; everything else goes through a tile of int32
// in scratch memory and this function.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/near_activation.h"
#include "kernels/unary_f32.inl.h"

namespace intact {

// Accumulators of `rows` rows by `cols` columns, and where their results go. Pointers per channel
// are already at the first column, pointers per row at the first row.
struct EpilogueTile {
  std::int32_t* acc;          // Changed when there is a function.
  std::ptrdiff_t acc_stride;  // Elements.
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t row;  // Index of the first row, for row_scale.
  std::byte* out;
  std::ptrdiff_t out_row_bytes;
  const Epilogue* e;
  const float* m;
  const float* c;
  const float* g_m;  // Where is_mapped().
  const float* g_c;
  const float* steps;  // FloatSteps::v.
  const std::uint8_t* r;
  // Corrections of equation (2) of gemm_u8s8.h: acc - za[row] colsum[n] - zb[n] row_sum[row].
  const std::uint8_t* za_rows;  // Null: none.
  const std::int32_t* colsum;
  const std::int32_t* zb;  // Null: none.
  const std::int32_t* row_sums;
  bool small;    // EpilogueRows::fits: bounds may wait until codes are bytes.
  float margin;  // EpilogueRows::near_margin.
};

template <class Isa>
struct EpilogueRows {
  using I32 = typename Isa::I32;
  using F32 = typename Isa::F32;

  struct Limits {
    F32 lo, hi;
    I32 zero;
    explicit Limits(const CodeLimits& k) noexcept
        : lo(Isa::set_f32(static_cast<float>(k.lo - k.zero))),
          hi(Isa::set_f32(static_cast<float>(k.hi - k.zero))),
          zero(Isa::set_i32(k.zero)) {}
    // clamp(rne(f), lo - zero, hi - zero): the bounds are integers, so clamping first is the same.
    [[gnu::always_inline]] inline I32 round(F32 f) const noexcept {
      return Isa::to_i32(Isa::max(Isa::min(f, hi), lo));
    }
  };

  // True when no value of equation (1) can leave int32 (|acc| <= 2^31), so that the bounds may wait
  // until the codes are packed bytes, where they cost a sixteenth. `cols` channels from n on.
  static bool is_small(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    int large = 0;  // Or NaN. Without branches, for the compiler's vectors.
    for (std::int64_t i = n; i < n + cols; ++i)
      large |= static_cast<int>(!(__builtin_fabsf(e.m[i]) <= 0.25f)) |
               static_cast<int>(!(__builtin_fabsf(e.c[i]) <= 0x1p29f));
    return large == 0;
  }
  // True when a kernel may finish codes without residual in its registers.
  static bool is_plain(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    return e.kind == EpilogueKind::kCodes && e.residual == Residual::kNone && !e.function &&
           is_small(e, n, cols);
  }
  // The same for equations (2), whose first code is bounded before its rounding, and (3): what is
  // added is at most 255 (|first_ratio| + |r_ratio|).
  static bool is_summed(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    return e.kind == EpilogueKind::kCodes && e.residual != Residual::kNone && !e.is_mapped() &&
           e.first_ratio <= 0x1p20f && e.first_ratio >= -0x1p20f && e.r_ratio <= 0x1p20f &&
           e.r_ratio >= -0x1p20f && (e.residual == Residual::kAfterCode || is_small(e, n, cols));
  }
  // The same for equations (4) and (5): an activation is at most max(1, |alpha|) (|x| + 1), and
  // finite.
  static bool is_function_small(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    if (e.kind != EpilogueKind::kCodes || !e.function || e.steps) return false;
    const auto abs = [](float x) { return x < 0 ? -x : x; };
    const float slope = abs(e.function->alpha) > 1 ? abs(e.function->alpha) : 1;
    bool small = e.residual == Residual::kNone || abs(e.r_ratio) <= 0x1p20f;
    for (std::int64_t i = n; i < n + cols; ++i) {
      const float x = 0x1p31f * abs(e.m[i]) + abs(e.c[i]) + 1;
      small = small && x <= 0x1p60f && slope * x * abs(e.g_m[i]) + abs(e.g_c[i]) <= 0x1p29f;
    }
    return small;
  }
  static bool fits(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    return is_plain(e, n, cols) || is_summed(e, n, cols) || is_function_small(e, n, cols);
  }

  static constexpr bool kNear = requires(F32 x) {
    Isa::Floats::look_up(Isa::Floats::table(nullptr), Isa::Floats::bits(x));
  };
  // How far f of equation (4) may lie from an integer, so that the same f with a near activation
  // rounds to it too; 0 where it is no use. For what fits(). `size` bounds |g_m y| for an f that no
  // bound of codes decides: (3) of near_activation.h errs by 2^-23 of it, and each of up to two
  // roundings on either side by 2^-24.
  static float near_margin(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    if (!kNear || !e.function || e.apart || e.steps || near_activation(e.function->op) == nullptr)
      return 0.0f;
    const auto abs = [](float x) { return x < 0 ? -x : x; };
    float g_m = 0.0f, g_c = 0.0f;
    for (std::int64_t i = n; i < n + cols; ++i) {
      g_m = abs(e.g_m[i]) > g_m ? abs(e.g_m[i]) : g_m;
      g_c = abs(e.g_c[i]) > g_c ? abs(e.g_c[i]) : g_c;
    }
    const float size = 300.0f + g_c + (e.residual == Residual::kNone ? 0 : 255 * abs(e.r_ratio));
    const float error = g_m * NearActivation::kError + size * 0x1.8p-22f;
    return error < 0x1p-6f ? 0.5f - error : 0.0f;
  }
  // How codes may be made, for `cols` channels from n on.
  static void judge(EpilogueTile& t, std::int64_t n, std::int64_t cols) noexcept {
    t.small = fits(*t.e, n, cols);
    t.margin = t.small ? near_margin(*t.e, n, cols) : 0.0f;
  }

  template <bool kCorrect>
  [[gnu::always_inline]] static inline I32 load(const EpilogueTile& t, std::int64_t i,
                                                std::int64_t n) noexcept {
    I32 acc = Isa::load_i32(t.acc + i * t.acc_stride + n);
    if constexpr (kCorrect) {
      if (t.za_rows != nullptr)
        acc = Isa::sub(acc, Isa::mul(Isa::set_i32(t.za_rows[i]), Isa::load_i32(t.colsum + n)));
      if (t.zb != nullptr)
        acc = Isa::sub(acc, Isa::mul(Isa::set_i32(t.row_sums[i]), Isa::load_i32(t.zb + n)));
    }
    return acc;
  }

  // The code before its zero point and its bounds; kBound: in float, where a value may leave int32.
  template <bool kCorrect, Residual kResidual, bool kBound>
  struct Coder {
    const EpilogueTile& t;
    Limits last, first;
    F32 first_ratio, r_ratio;
    I32 r_zero;
    explicit Coder(const EpilogueTile& tile) noexcept
        : t(tile),
          last(tile.e->codes),
          first(tile.e->first),
          first_ratio(Isa::set_f32(tile.e->first_ratio)),
          r_ratio(Isa::set_f32(tile.e->r_ratio)),
          r_zero(Isa::set_i32(tile.e->r_zero)) {}
    [[gnu::always_inline]] inline I32 operator()(std::int64_t i, std::int64_t n) const noexcept {
      return of(load<kCorrect>(t, i, n), i, n);
    }
    [[gnu::always_inline]] inline I32 of(I32 acc, std::int64_t i, std::int64_t n) const noexcept {
      F32 f = Isa::fma(Isa::to_f32(acc), Isa::load_f32(t.m + n), Isa::load_f32(t.c + n));
      if constexpr (kResidual != Residual::kNone) {
        const I32 r = Isa::sub(Isa::load_u8(t.r + i * t.e->r_row_bytes + n), r_zero);
        const F32 s = Isa::mul(Isa::to_f32(r), r_ratio);
        if constexpr (kResidual == Residual::kAfterCode)
          f = Isa::fma(Isa::to_f32(first.round(f)), first_ratio, s);
        else
          f = Isa::add(f, s);
      }
      return kBound ? last.round(f) : Isa::to_i32(f);
    }
  };

  // Equation (5): y g_m + g_c.
  [[gnu::always_inline]] static inline F32 map_apart(F32 y, F32 g_m, F32 g_c) noexcept {
    return Isa::add(Isa::mul(y, g_m), g_c);
  }
  // Equation (6) at column n.
  static F32 follow(const EpilogueTile& t, std::int64_t n, F32 y) noexcept {
    const FloatSteps& s = t.e->steps;
    for (std::size_t k = 0; k < s.count; ++k) {
      const F32 v = Isa::load_f32(t.steps + static_cast<std::ptrdiff_t>(k) * s.stride + n);
      switch (s.op[k]) {
        case FloatSteps::Op::kAdd:
          y = Isa::add(y, v);
          break;
        case FloatSteps::Op::kMul:
          y = Isa::mul(y, v);
          break;
        case FloatSteps::Op::kDiv:
          y = Isa::div(y, v);
          break;
        case FloatSteps::Op::kFrom:
          y = Isa::sub(v, y);
          break;
      }
    }
    return y;
  }

  // Equations (4) to (6) in place, down the columns: accumulators become codes before their zero
  // point.
  template <class Function>
  [[gnu::always_inline]] static inline void apply(const EpilogueTile& t,
                                                  const Function& g) noexcept {
    const Limits limits(t.e->codes);
    const F32 r_ratio = Isa::set_f32(t.e->r_ratio);
    const I32 r_zero = Isa::set_i32(t.e->r_zero);
    for (std::int64_t n = 0; n < t.cols; n += Isa::kLanes) {
      const F32 m = Isa::load_f32(t.m + n), c = Isa::load_f32(t.c + n);
      const F32 g_m = Isa::load_f32(t.g_m + n), g_c = Isa::load_f32(t.g_c + n);
      for (std::int64_t i = 0; i < t.rows; ++i) {
        const F32 x = Isa::fma(Isa::to_f32(load<true>(t, i, n)), m, c);
        const F32 y = Isa::apply(g, x);
        F32 f = t.e->steps   ? follow(t, n, y)
                : t.e->apart ? map_apart(y, g_m, g_c)
                             : Isa::fma(y, g_m, g_c);
        if (t.r != nullptr) {
          const I32 r = Isa::sub(Isa::load_u8(t.r + i * t.e->r_row_bytes + n), r_zero);
          f = Isa::add(f, Isa::mul(Isa::to_f32(r), r_ratio));
        }
        Isa::store_i32(t.acc + i * t.acc_stride + n,
                       t.small ? Isa::to_i32(f) : limits.round(Isa::nan_to_zero(f)));
      }
    }
  }

  // The same for equation (7).
  template <bool kCorrect, Residual kResidual>
  struct Sum {
    const EpilogueTile& t;
    Limits last;
    F32 r_ratio;
    I32 r_zero;
    explicit Sum(const EpilogueTile& tile) noexcept
        : t(tile),
          last(tile.e->codes),
          r_ratio(Isa::set_f32(tile.e->r_ratio)),
          r_zero(Isa::set_i32(tile.e->r_zero)) {}
    [[gnu::always_inline]] inline I32 operator()(std::int64_t i, std::int64_t n) const noexcept {
      const F32 x = Isa::fma(Isa::to_f32(load<kCorrect>(t, i, n)), Isa::load_f32(t.m + n),
                             Isa::load_f32(t.c + n));
      const F32 s = residual<kResidual>(t.r + i * t.e->r_row_bytes, n, t.cols - n, r_zero, r_ratio);
      const F32 f = Isa::fma(Isa::add(x, s), Isa::load_f32(t.g_m + n), Isa::load_f32(t.g_c + n));
      return last.round(Isa::nan_to_zero(f));
    }
  };
  // What equation (7) adds at column n of a row that begins at r; `left` columns from there on.
  template <Residual kResidual>
  [[gnu::always_inline]] static inline F32 residual(const std::uint8_t* r, std::int64_t n,
                                                    std::int64_t left, I32 r_zero,
                                                    F32 r_ratio) noexcept {
    if constexpr (kResidual == Residual::kReal) {
      const float* x = reinterpret_cast<const float*>(r) + n;
      return left >= Isa::kLanes ? Isa::load_f32(x) : Isa::load_f32(x, left > 0 ? left : 0);
    } else {
      return Isa::mul(Isa::to_f32(Isa::sub(Isa::load_u8(r + n), r_zero)), r_ratio);
    }
  }

  // All codes of a tile. Several rows of one panel, or of two, make a full store.
  template <class Code>
  [[gnu::always_inline]] static inline void store(const EpilogueTile& t,
                                                  const Code& code) noexcept {
    constexpr int kNarrow = Isa::kPanelVecs;
    constexpr int kWide = kNarrow * Isa::kMaxPanels;
    const CodeLimits& k = t.e->codes;
    const auto consts = Isa::code_consts(k.zero, k.lo, k.hi);
    std::int64_t i = 0;
    if constexpr (2 * kNarrow < Isa::kCodeVecs)
      if (t.cols > kPanelCols && t.cols <= 2 * kPanelCols)
        i = store_together<2 * kNarrow>(t, code, consts);
    if constexpr (kNarrow < Isa::kCodeVecs)
      if (t.cols <= kPanelCols) i = store_together<kNarrow>(t, code, consts);
    for (; i < t.rows; ++i) {
      std::int64_t n = 0;
      for (; t.cols - n >= kWide * Isa::kLanes; n += kWide * Isa::kLanes)
        store_row<kWide>(t, code, consts, i, n);
      for (; n < t.cols; n += kNarrow * Isa::kLanes) store_row<kNarrow>(t, code, consts, i, n);
    }
  }
  // A code is a function of one vector, or fills several at once.
  template <int NV, class Code>
  [[gnu::always_inline]] static inline void fill(const Code& code, I32 (&q)[NV], std::int64_t i,
                                                 std::int64_t n) noexcept {
    if constexpr (requires { code.fill(q, i, n); }) {
      code.fill(q, i, n);
    } else {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) q[v] = code(i, n + v * Isa::kLanes);
    }
  }
  template <int NV, class Code, class Consts>
  [[gnu::always_inline]] static inline void store_row(const EpilogueTile& t, const Code& code,
                                                      const Consts& consts, std::int64_t i,
                                                      std::int64_t n) noexcept {
    I32 q[NV];
    fill(code, q, i, n);
    Isa::template store_codes<NV>(reinterpret_cast<std::uint8_t*>(t.out + i * t.out_row_bytes) + n,
                                  q, consts, t.cols - n, t.e->lut);
  }
  // Returns how many rows it stored.
  template <int NV, class Code, class Consts>
  [[gnu::always_inline]] static inline std::int64_t store_together(const EpilogueTile& t,
                                                                   const Code& code,
                                                                   const Consts& consts) noexcept {
    constexpr int kRows = Isa::kCodeVecs / NV;
    std::int64_t i = 0;
    for (; i + kRows <= t.rows; i += kRows) {
      I32 q[kRows][NV];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) fill(code, q[r], i + r, 0);
      Isa::template store_codes<NV, kRows>(
          reinterpret_cast<std::uint8_t*>(t.out + i * t.out_row_bytes), t.out_row_bytes, q, consts,
          t.cols, t.e->lut);
    }
    return i;
  }

  template <bool kCorrect, Residual kResidual>
  static void codes(const EpilogueTile& t) noexcept {
    if (t.small)
      store(t, Coder<kCorrect, kResidual, false>(t));
    else
      store(t, Coder<kCorrect, kResidual, true>(t));
  }

  // Equation (4), mostly without its function: EpilogueRows::near_margin. No corrections.
  template <bool kSum>
  struct Near {
    using S = typename Isa::Floats;
    const EpilogueTile& t;
    const NearActivationOn<S> g;
    const std::int32_t* acc;
    std::ptrdiff_t acc_stride;
    const float *m, *c, *g_m, *g_c;
    F32 margin, r_ratio;
    I32 r_zero;
    explicit Near(const EpilogueTile& tile) noexcept
        : t(tile),
          g(*near_activation(tile.e->function->op)),
          acc(tile.acc),
          acc_stride(tile.acc_stride),
          m(tile.m),
          c(tile.c),
          g_m(tile.g_m),
          g_c(tile.g_c),
          margin(Isa::set_f32(tile.margin)),
          r_ratio(Isa::set_f32(tile.e->r_ratio)),
          r_zero(Isa::set_i32(tile.e->r_zero)) {}
    template <int NV>
    [[gnu::always_inline]] inline void fill(I32 (&q)[NV], std::int64_t i,
                                            std::int64_t n) const noexcept {
      const std::int32_t* from = acc + i * acc_stride;
      F32 worst;
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        const std::int64_t at = n + v * Isa::kLanes;
        const F32 x = Isa::fma(Isa::to_f32(Isa::load_i32(from + at)), Isa::load_f32(m + at),
                               Isa::load_f32(c + at));
        F32 f = Isa::fma(g(x), Isa::load_f32(g_m + at), Isa::load_f32(g_c + at));
        if constexpr (kSum) {
          const I32 r = Isa::sub(Isa::load_u8(t.r + i * t.e->r_row_bytes + at), r_zero);
          f = Isa::add(f, Isa::mul(Isa::to_f32(r), r_ratio));
        }
        q[v] = Isa::to_i32(f);
        const F32 off = MathF32<S>::abs(Isa::sub(f, Isa::round(f)));
        worst = v == 0 ? off : Isa::max(worst, off);
      }
      if (S::any(S::lt(margin, worst))) [[unlikely]] {
        exactly(t, i, n, NV);
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) q[v] = Isa::load_i32(from + n + v * Isa::kLanes);
      }
    }
    // Leaves the codes of `vectors` vectors in place of their accumulators.
    [[gnu::noinline, gnu::cold]] static void exactly(const EpilogueTile& t, std::int64_t i,
                                                     std::int64_t n, int vectors) noexcept {
      EpilogueTile part = t;
      part.acc += i * t.acc_stride + n;
      part.rows = 1;
      part.cols = vectors * Isa::kLanes;
      part.m += n;
      part.c += n;
      part.g_m += n;
      part.g_c += n;
      if (t.r != nullptr) part.r += i * t.e->r_row_bytes + n;
      with_activation<S>(*t.e->function, [&](const auto& exact) { apply(part, exact); });
    }
  };
  template <bool kCorrect>
  static void function_codes(const EpilogueTile& t) noexcept {
    if constexpr (kNear && !kCorrect)
      if (t.margin > 0) return t.r != nullptr ? store(t, Near<true>(t)) : store(t, Near<false>(t));
    with_activation<typename Isa::Floats>(*t.e->function, [&](const auto& g) { apply(t, g); });
    store(t, [&](std::int64_t i, std::int64_t n) {
      return Isa::load_i32(t.acc + i * t.acc_stride + n);
    });
  }

  template <bool kCorrect, bool kRowScale>
  static void reals(const EpilogueTile& t) noexcept {
    const Epilogue& e = *t.e;
    const F32 lo = Isa::set_f32(e.lo_f);
    const F32 hi = Isa::set_f32(e.hi_f);
    for (std::int64_t i = 0; i < t.rows; ++i) {
      auto* out = reinterpret_cast<float*>(t.out + i * t.out_row_bytes);
      F32 s = lo;
      if constexpr (kRowScale) s = Isa::set_f32(e.row_scale[t.row + i]);
      for (std::int64_t n = 0; n < t.cols; n += Isa::kLanes) {
        F32 m = Isa::load_f32(t.m + n);
        if constexpr (kRowScale) m = Isa::mul(m, s);
        F32 f = Isa::fma(Isa::to_f32(load<kCorrect>(t, i, n)), m, Isa::load_f32(t.c + n));
        f = Isa::max(Isa::min(f, hi), lo);
        if (t.cols - n >= Isa::kLanes)
          Isa::store_f32(out + n, f);
        else
          Isa::store_f32(out + n, f, t.cols - n);
      }
    }
  }

  template <bool kCorrect>
  static void raw(const EpilogueTile& t) noexcept {
    for (std::int64_t i = 0; i < t.rows; ++i) {
      auto* out = reinterpret_cast<std::int32_t*>(t.out + i * t.out_row_bytes);
      for (std::int64_t n = 0; n < t.cols; n += Isa::kLanes) {
        const I32 acc = load<kCorrect>(t, i, n);
        if (t.cols - n >= Isa::kLanes)
          Isa::store_i32(out + n, acc);
        else
          Isa::store_i32(out + n, acc, t.cols - n);
      }
    }
  }

  template <bool kCorrect>
  static void dispatch(const EpilogueTile& t) noexcept {
    switch (t.e->kind) {
      case EpilogueKind::kFloat:
        return t.e->row_scale != nullptr ? reals<kCorrect, true>(t) : reals<kCorrect, false>(t);
      case EpilogueKind::kRaw:
        return raw<kCorrect>(t);
      case EpilogueKind::kCodes:
        if (t.e->function) return function_codes<kCorrect>(t);
        switch (t.e->residual) {
          case Residual::kNone:
            return codes<kCorrect, Residual::kNone>(t);
          case Residual::kAfterCode:
            return codes<kCorrect, Residual::kAfterCode>(t);
          case Residual::kBeforeCode:
            return codes<kCorrect, Residual::kBeforeCode>(t);
          case Residual::kBeforeMap:
            return store(t, Sum<kCorrect, Residual::kBeforeMap>(t));
          case Residual::kReal:
            return store(t, Sum<kCorrect, Residual::kReal>(t));
        }
    }
  }

  [[gnu::noinline]] static void run(const EpilogueTile& t) noexcept {
    if (t.za_rows != nullptr || t.zb != nullptr)
      dispatch<true>(t);
    else
      dispatch<false>(t);
  }
};

}  // namespace intact
