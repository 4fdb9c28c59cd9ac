// epilogue.inl.h: epilogue.h for accumulators that lie in memory, over an ISA vocabulary.
//
// Kernels keep the plain case (codes, no residual) in their registers; everything else goes through
// a tile of int32 in scratch memory and this function.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.h"

namespace intact {

// Accumulators of `rows` rows by `cols` columns, and where their results go. Pointers per channel
// are already at the first column, pointers per row at the first row.
struct EpilogueTile {
  const std::int32_t* acc;
  std::ptrdiff_t acc_stride;  // Elements.
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t row;  // Index of the first row, for row_scale.
  std::byte* out;
  std::ptrdiff_t out_row_bytes;
  const Epilogue* e;
  const float* m;
  const float* c;
  const std::uint8_t* r;
  // Corrections of equation (2) of gemm_u8s8.h: acc - za[row] colsum[n] - zb[n] row_sum[row].
  const std::uint8_t* za_rows;  // Null: none.
  const std::int32_t* colsum;
  const std::int32_t* zb;  // Null: none.
  const std::int32_t* row_sums;
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

  // True when no value of fma(acc, m, c) can leave int32 (|acc| <= 2^31), so that the bounds may
  // wait until the codes are packed bytes, where they cost a sixteenth. `cols` channels from n on.
  static bool is_small(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    bool small = true;
    for (std::int64_t i = n; i < n + cols; ++i) {
      const bool m = e.m[i] <= 0.5f && e.m[i] >= -0.5f;
      const bool c = e.c[i] <= 0x1p29f && e.c[i] >= -0x1p29f;
      small = small && m && c;
    }
    return small;
  }

  // True when the kernel may use its own register epilogue: codes without residual.
  static bool is_plain(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    return e.kind == EpilogueKind::kCodes && e.residual == Residual::kNone && is_small(e, n, cols);
  }

  // The same for equation (3): the residual adds at most 2^28.
  static bool is_plain_sum(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    return e.kind == EpilogueKind::kCodes && e.residual == Residual::kBeforeCode &&
           e.r_ratio <= 0x1p20f && e.r_ratio >= -0x1p20f && is_small(e, n, cols);
  }

  // And for reals without a scale a row.
  static bool is_plain_real(const Epilogue& e) noexcept {
    return e.kind == EpilogueKind::kFloat && e.row_scale == nullptr;
  }

  // The same for equation (2): the first code's bounds come before its rounding, the sum is at most
  // 255 (|first_ratio| + |r_ratio|).
  static bool is_summed(const Epilogue& e) noexcept {
    return e.kind == EpilogueKind::kCodes && e.residual == Residual::kAfterCode &&
           e.first_ratio <= 0x1p20f && e.first_ratio >= -0x1p20f && e.r_ratio <= 0x1p20f &&
           e.r_ratio >= -0x1p20f;
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

  template <bool kCorrect, Residual kResidual>
  static void codes(const EpilogueTile& t) noexcept {
    const Epilogue& e = *t.e;
    const Limits last(e.codes);
    const Limits first(e.first);
    const F32 first_ratio = Isa::set_f32(e.first_ratio);
    const F32 r_ratio = Isa::set_f32(e.r_ratio);
    const I32 r_zero = Isa::set_i32(e.r_zero);
    for (std::int64_t i = 0; i < t.rows; ++i) {
      auto* out = reinterpret_cast<std::uint8_t*>(t.out + i * t.out_row_bytes);
      for (std::int64_t n = 0; n < t.cols; n += Isa::kLanes) {
        F32 f = Isa::fma(Isa::to_f32(load<kCorrect>(t, i, n)), Isa::load_f32(t.m + n),
                         Isa::load_f32(t.c + n));
        if constexpr (kResidual != Residual::kNone) {
          const I32 r = Isa::sub(Isa::load_u8(t.r + i * e.r_row_bytes + n), r_zero);
          const F32 s = Isa::mul(Isa::to_f32(r), r_ratio);
          if constexpr (kResidual == Residual::kAfterCode)
            f = Isa::fma(Isa::to_f32(first.round(f)), first_ratio, s);
          else
            f = Isa::add(f, s);
        }
        Isa::store_u8(out + n, Isa::add(last.round(f), last.zero), t.cols - n);
      }
      if (e.lut != nullptr) Isa::lut(out, out, t.cols, e.lut);
    }
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
        switch (t.e->residual) {
          case Residual::kNone:
            return codes<kCorrect, Residual::kNone>(t);
          case Residual::kAfterCode:
            return codes<kCorrect, Residual::kAfterCode>(t);
          case Residual::kBeforeCode:
            return codes<kCorrect, Residual::kBeforeCode>(t);
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
