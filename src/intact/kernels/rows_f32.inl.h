// rows_f32.inl.h: the reductions of rows_f32.h over a float vocabulary.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/f32_lanes.inl.h"
#include "kernels/math_f32.inl.h"
#include "kernels/rows_f32.h"

namespace intact {

template <class S>
struct RowsF32 {
  using V = typename S::V;
  using Math = MathF32<S>;
  static constexpr float kInf = std::numeric_limits<float>::infinity();

  [[gnu::always_inline]] static float first_lane(V v) noexcept {
    alignas(64) float lanes[S::kLanes];
    S::store(lanes, v);
    return lanes[0];
  }

  template <template <class> class Op>
  [[gnu::always_inline]] static V reduce_row(const float* x, std::int64_t n) noexcept {
    RowLanesF32<S, Op> lanes;
    for_each_f32<S>(
        x, n, Op<S>::kStart == 0.0f ? 0.0f : Op<S>::kStart,
        [&](int j, std::int64_t, V v) { lanes.step(j, v); },
        [&](int j, std::int64_t, V v, int) { lanes.step(j, v); });
    return lanes.fold();
  }

  template <template <class> class Op>
  static void reduce_rows(const ReduceF32Args& args) noexcept {
    const V count = S::set(static_cast<float>(args.cols));
    for (std::int64_t r = 0; r < args.rows; ++r) {
      V v = reduce_row<Op>(args.x + r * args.x_stride, args.cols);
      if (args.op == ReduceOp::kMean) v = S::div(v, count);
      args.y[r] = first_lane(Math::canon(v));
    }
  }
  static void reduce_last(const ReduceF32Args& args) noexcept {
    switch (args.op) {
      case ReduceOp::kSum:
      case ReduceOp::kMean:
        return reduce_rows<SumF32>(args);
      case ReduceOp::kSumSq:
        return reduce_rows<SumSqF32>(args);
      case ReduceOp::kMax:
        return reduce_rows<MaxF32>(args);
      case ReduceOp::kMin:
        return reduce_rows<MinF32>(args);
      case ReduceOp::kProd:
        return reduce_rows<ProdF32>(args);
    }
  }

  // kLanes columns (or the first n of them) at x, over all rows. Eight lanes at a time, which is
  // what 16 registers hold; a row belongs to one lane, so nothing is read twice.
  template <template <class> class Op, bool kTail>
  [[gnu::always_inline]] static V reduce_columns(const float* x, std::ptrdiff_t stride,
                                                 std::int64_t rows, int n) noexcept {
    ColumnLanesF32<S, Op> lanes;
    for (int half = 0; half < 16; half += 8) {
      V acc[8];
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        acc[j] = S::set(Op<S>::kStart);
        S::barrier(acc[j]);
      }
      std::int64_t r = half;
#pragma GCC unroll 1
      for (; r + 8 <= rows; r += 16) {
        const float* p = x + r * stride;
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j, p += stride)
          acc[j] = Op<S>::step(acc[j], kTail ? S::load_tail(p, n) : S::load(p));
      }
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        S::barrier(acc[j]);
        lanes.lane[half + j] = acc[j];
      }
      for (int j = half; r < rows; ++r, ++j) {
        const float* p = x + r * stride;
        lanes.lane[j] = Op<S>::step(lanes.lane[j], kTail ? S::load_tail(p, n) : S::load(p));
        if (j == half + 7) break;
      }
    }
    return lanes.fold();
  }
  template <template <class> class Op>
  static void reduce_all_columns(const ReduceF32Args& args) noexcept {
    const V count = S::set(static_cast<float>(args.rows));
    const auto finish = [&](V v) {
      return Math::canon(args.op == ReduceOp::kMean ? S::div(v, count) : v);
    };
    std::int64_t c = 0;
    for (; c + S::kLanes <= args.cols; c += S::kLanes)
      S::store(args.y + c,
               finish(reduce_columns<Op, false>(args.x + c, args.x_stride, args.rows, 0)));
    if (c < args.cols) {
      const int n = static_cast<int>(args.cols - c);
      S::store_tail(args.y + c,
                    finish(reduce_columns<Op, true>(args.x + c, args.x_stride, args.rows, n)), n);
    }
  }
  static void reduce_first(const ReduceF32Args& args) noexcept {
    switch (args.op) {
      case ReduceOp::kSum:
      case ReduceOp::kMean:
        return reduce_all_columns<SumF32>(args);
      case ReduceOp::kSumSq:
        return reduce_all_columns<SumSqF32>(args);
      case ReduceOp::kMax:
        return reduce_all_columns<MaxF32>(args);
      case ReduceOp::kMin:
        return reduce_all_columns<MinF32>(args);
      case ReduceOp::kProd:
        return reduce_all_columns<ProdF32>(args);
    }
  }

  // -0 becomes +0: which zero a maximum finds depends on the order, and must not show.
  [[gnu::always_inline]] static V plus_zero(V v) noexcept { return S::add(v, S::set(0.0f)); }

  // Rows at once: while one waits for its sums and reciprocals, others compute. Where vectors are
  // narrower, a row has several lane vectors to go on with, and 16 registers hold no second row.
  static constexpr int kTogether = S::kLanes == 16 ? 4 : 1;

  // Calls body(q, j, i, v) for each vector of kRows rows x + q stride, and tail(q, j, i, v, count)
  // for what is left of each, padded with fill(q): for_each_f32 of rows side by side.
  template <int kRows, class Fill, class Body, class Tail>
  [[gnu::always_inline]] static void for_rows(const float* x, std::ptrdiff_t stride, std::int64_t n,
                                              Fill fill, Body body, Tail tail) noexcept {
    const std::int64_t whole = n / 16 * 16;
    for (std::int64_t i = 0; i < whole; i += 16) {
#pragma GCC unroll 16
      for (int j = 0; j < 16 / S::kLanes; ++j) {
#pragma GCC unroll 4
        for (int q = 0; q < kRows; ++q) {
          const std::int64_t at = i + j * S::kLanes;
          body(q, j, at, S::load(x + q * stride + at));
        }
      }
    }
    if (whole == n) return;
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q)
      for_each_f32<S>(
          x + q * stride + whole, n - whole, fill(q),
          [&](int j, std::int64_t i, V v) { body(q, j, whole + i, v); },
          [&](int j, std::int64_t i, V v, int count) { tail(q, j, whole + i, v, count); });
  }

  template <int kRows, template <class> class Op>
  [[gnu::always_inline]] static void reduce_together(const float* x, std::ptrdiff_t stride,
                                                     std::int64_t n, V (&result)[kRows]) noexcept {
    RowLanesF32<S, Op> lanes[kRows];
    for_rows<kRows>(
        x, stride, n, [](int) { return Op<S>::kStart; },
        [&](int q, int j, std::int64_t, V v) { lanes[q].step(j, v); },
        [&](int q, int j, std::int64_t, V v, int) { lanes[q].step(j, v); });
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q) result[q] = lanes[q].fold();
  }

  // What a softmax is made of: y = exp(x - max), or x - max where kLog, and the lane sums of the
  // exponentials. y may be x.
  template <int kRows, bool kLog, template <class> class Max>
  [[gnu::always_inline]] static void exp_rows(const SoftmaxF32Args& args, std::int64_t row,
                                              V (&total)[kRows]) noexcept {
    const std::int64_t n = args.cols;
    const float* x = args.x + row * args.x_stride;
    float* y = args.y + row * args.y_stride;
    const std::ptrdiff_t y_stride = args.y_stride;
    V max[kRows];
    reduce_together<kRows, Max>(x, args.x_stride, n, max);
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q) max[q] = plus_zero(max[q]);
    RowLanesF32<S, SumF32> sum[kRows];
    // The logarithm keeps x - max, the other one exp(x - max).
    for_rows<kRows>(
        x, args.x_stride, n, [](int) { return -kInf; },
        [&](int q, int j, std::int64_t i, V v) __attribute__((always_inline)) {
          const V d = S::sub(v, max[q]);
          const V e = Math::exp(d);
          sum[q].step(j, e);
          S::store(y + q * y_stride + i, kLog ? d : e);
        },
        [&](int q, int j, std::int64_t i, V v, int count) {
          const V d = S::sub(v, max[q]);
          const V e = Math::exp(d);
          sum[q].step(j, e);
          S::store_tail(y + q * y_stride + i, kLog ? d : e, count);
        });
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q) total[q] = sum[q].fold();
  }

  template <int kRows, bool kLog>
  static void softmax_rows(const SoftmaxF32Args& args, std::int64_t row) noexcept {
    const std::int64_t n = args.cols;
    float* y = args.y + row * args.y_stride;
    const std::ptrdiff_t y_stride = args.y_stride;
    V factor[kRows];
    exp_rows<kRows, kLog, MaxF32>(args, row, factor);
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q)
      factor[q] = kLog ? Math::log(factor[q]) : S::div(S::set(1.0f), factor[q]);
    const auto finish = [&](int q, V v) {
      return Math::canon(kLog ? S::sub(v, factor[q]) : S::mul(v, factor[q]));
    };
    for_rows<kRows>(
        y, y_stride, n, [](int) { return 0.0f; },
        [&](int q, int, std::int64_t i, V v) { S::store(y + q * y_stride + i, finish(q, v)); },
        [&](int q, int, std::int64_t i, V v, int count) {
          S::store_tail(y + q * y_stride + i, finish(q, v), count);
        });
  }
  template <bool kLog>
  static void softmax_all_rows(const SoftmaxF32Args& args) noexcept {
    std::int64_t r = 0;
    for (; r + kTogether <= args.rows; r += kTogether) softmax_rows<kTogether, kLog>(args, r);
    for (; r < args.rows; ++r) softmax_rows<1, kLog>(args, r);
  }
  static void softmax_last(const SoftmaxF32Args& args) noexcept {
    args.log ? softmax_all_rows<true>(args) : softmax_all_rows<false>(args);
  }

  template <bool kTail>
  [[gnu::always_inline]] static void softmax_columns(const SoftmaxF32Args& args, std::int64_t c,
                                                     int n) noexcept {
    const float* x = args.x + c;
    float* y = args.y + c;
    const auto load = [&](const float* p) { return kTail ? S::load_tail(p, n) : S::load(p); };
    const auto store = [&](float* p, V v) {
      if constexpr (kTail)
        S::store_tail(p, v, n);
      else
        S::store(p, v);
    };
    V max = S::set(-kInf);
    for (std::int64_t r = 0; r < args.rows; ++r)
      max = MaxF32<S>::step(max, load(x + r * args.x_stride));
    max = plus_zero(max);
    // Lane by lane: one accumulator in a register instead of sixteen in memory.
    ColumnLanesF32<S, SumF32> sum;
    for (int j = 0; j < 16; ++j) {
      V lane = S::set(0.0f);
      for (std::int64_t r = j; r < args.rows; r += 16) {
        const V d = S::sub(load(x + r * args.x_stride), max);
        const V e = Math::exp(d);
        lane = S::add(lane, e);
        store(y + r * args.y_stride, args.log ? d : e);
      }
      sum.lane[j] = lane;
    }
    const V total = sum.fold();
    const V factor = args.log ? Math::log(total) : S::div(S::set(1.0f), total);
    for (std::int64_t r = 0; r < args.rows; ++r) {
      float* p = y + r * args.y_stride;
      const V v = load(p);
      store(p, Math::canon(args.log ? S::sub(v, factor) : S::mul(v, factor)));
    }
  }
  static void softmax_first(const SoftmaxF32Args& args) noexcept {
    std::int64_t c = 0;
    for (; c + S::kLanes <= args.cols; c += S::kLanes) softmax_columns<false>(args, c, 0);
    if (c < args.cols) softmax_columns<true>(args, c, static_cast<int>(args.cols - c));
  }

  // The means of rows, from sums in double.
  template <int kRows>
  [[gnu::always_inline]] static void means(const float* x, std::ptrdiff_t stride, std::int64_t n,
                                           V* mean) noexcept {
    RowDoublesF32<S> sum[kRows];
    for_rows<kRows>(
        x, stride, n, [](int) { return 0.0f; },
        [&](int q, int j, std::int64_t, V v) { sum[q].step(j, v); },
        [&](int q, int j, std::int64_t, V v, int) { sum[q].step(j, v); });
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q)
      mean[q] = S::set(static_cast<float>(sum[q].fold() / static_cast<double>(n)));
  }

  // V of layer_norm: eight lanes a row, of which a vector of 16 holds two rows'.
  template <int kRows>
  [[gnu::always_inline]] static void squares(const float* x, std::ptrdiff_t stride, std::int64_t n,
                                             const V (&mean)[kRows], V (&total)[kRows]) noexcept {
    if constexpr (S::kLanes <= 8) {
      using Lanes = RowLanesF32<S, SumSqF32, 8>;
      Lanes lanes[kRows];
      for_rows<kRows>(
          x, stride, n, [&](int q) { return first_lane(mean[q]); },  // d = 0 beyond the end.
          [&](int q, int j, std::int64_t, V v) {
            lanes[q].step(j % Lanes::kVectors, S::sub(v, mean[q]));
          },
          [&](int q, int j, std::int64_t, V v, int) {
            lanes[q].step(j % Lanes::kVectors, S::sub(v, mean[q]));
          });
#pragma GCC unroll 4
      for (int q = 0; q < kRows; ++q) total[q] = lanes[q].fold();
    } else {
      constexpr int kPairs = (kRows + 1) / 2;
      const std::ptrdiff_t next = kRows == 1 ? 0 : stride;
      V both[kPairs], lanes[kPairs];
#pragma GCC unroll 2
      for (int p = 0; p < kPairs; ++p) {
        both[p] = S::halves(mean[2 * p], mean[kRows == 1 ? 0 : 2 * p + 1]);
        lanes[p] = S::set(0.0f);
      }
      std::int64_t i = 0;
      for (; i + 8 <= n; i += 8) {
#pragma GCC unroll 2
        for (int p = 0; p < kPairs; ++p) {
          const float* at = x + 2 * p * stride + i;
          const V d = S::sub(S::load_halves(at, at + next), both[p]);
          lanes[p] = S::fma(d, d, lanes[p]);
        }
      }
      const int left = static_cast<int>(n - i);
#pragma GCC unroll 2
      for (int p = 0; p < kPairs; ++p) {
        if (left > 0) {
          const float* at = x + 2 * p * stride + i;
          const V low = S::load_tail(at, left, both[p]);
          const V high = S::load_tail(at + next, left, S::template upper<8>(both[p]));
          const V d = S::sub(S::halves(low, S::template upper<8>(high)), both[p]);
          lanes[p] = S::fma(d, d, lanes[p]);
        }
        lanes[p] = S::add(lanes[p], S::template upper<4>(lanes[p]));
        lanes[p] = S::add(lanes[p], S::template upper<2>(lanes[p]));
        lanes[p] = S::add(lanes[p], S::template upper<1>(lanes[p]));
        total[2 * p] = S::first_lane(lanes[p]);
        if constexpr (kRows > 1) total[2 * p + 1] = S::first_lane(S::template upper<8>(lanes[p]));
      }
    }
  }

  // Rows at once: the lanes of the squares are one vector a row, or less.
  static constexpr int kNormRows = S::kLanes >= 8 ? 4 : 1;

  template <int kRows>
  static void layer_norm_rows(const LayerNormF32Args& args, std::int64_t row) noexcept {
    const std::int64_t n = args.cols;
    const V count = S::set(static_cast<float>(n));
    const float* x = args.x + row * args.x_stride;
    float* y = args.y + row * args.y_stride;
    V mean[kRows], total[kRows];
    constexpr int kMeans = kRows < kTogether ? kRows : kTogether;
#pragma GCC unroll 4
    for (int q = 0; q < kRows; q += kMeans) {
      if (args.center)
        means<kMeans>(x + q * args.x_stride, args.x_stride, n, mean + q);
      else
        for (int m = q; m < q + kMeans; ++m) mean[m] = S::set(0.0f);
    }
    squares<kRows>(x, args.x_stride, n, mean, total);
    V inv[kRows];
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q) {
      const V variance = S::div(total[q], count);
      inv[q] = S::div(S::set(1.0f), S::sqrt(S::add(variance, S::set(args.eps))));
    }
    const float *scale = args.scale, *bias = args.bias;
    const std::ptrdiff_t x_stride = args.x_stride, y_stride = args.y_stride;
    const auto finish = [&](int q, V v, V k, V b) {
      return Math::canon(S::fma(S::mul(S::sub(v, mean[q]), inv[q]), k, b));
    };
    std::int64_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) {
      const V k = scale != nullptr ? S::load(scale + i) : S::set(1.0f);
      const V b = bias != nullptr ? S::load(bias + i) : S::set(0.0f);
#pragma GCC unroll 4
      for (int q = 0; q < kRows; ++q)
        S::store(y + q * y_stride + i, finish(q, S::load(x + q * x_stride + i), k, b));
    }
    if (i == n) return;
    const int left = static_cast<int>(n - i);
    const V k = scale != nullptr ? S::load_tail(scale + i, left) : S::set(1.0f);
    const V b = bias != nullptr ? S::load_tail(bias + i, left) : S::set(0.0f);
#pragma GCC unroll 4
    for (int q = 0; q < kRows; ++q)
      S::store_tail(y + q * y_stride + i, finish(q, S::load_tail(x + q * x_stride + i, left), k, b),
                    left);
  }
  static void layer_norm(const LayerNormF32Args& args) noexcept {
    std::int64_t r = 0;
    for (; r + kNormRows <= args.rows; r += kNormRows) layer_norm_rows<kNormRows>(args, r);
    for (; r < args.rows; ++r) layer_norm_rows<1>(args, r);
  }
};

}  // namespace intact
