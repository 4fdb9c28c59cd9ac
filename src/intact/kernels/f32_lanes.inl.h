// f32_lanes.inl.h: the 16 virtual lanes of every float reduction (rows_f32.h, equation 1).
#pragma once

#include <cstdint>
#include <limits>

namespace intact {

// What a reduction does to a lane and to a pair of lanes. kStart leaves any lane unchanged.
// Lanes of a sum start at +0 and can never become -0 by adding, so that adding +0 is nothing.
template <class S>
struct SumF32 {
  static constexpr float kStart = 0.0f;
  using V = typename S::V;
  [[gnu::always_inline]] static V step(V lane, V x) noexcept { return S::add(lane, x); }
  [[gnu::always_inline]] static V fold(V a, V b) noexcept { return S::add(a, b); }
};
template <class S>
struct SumSqF32 : SumF32<S> {
  using V = typename S::V;
  [[gnu::always_inline]] static V step(V lane, V x) noexcept { return S::fma(x, x, lane); }
};
template <class S>
struct ProdF32 {
  static constexpr float kStart = 1.0f;
  using V = typename S::V;
  [[gnu::always_inline]] static V step(V lane, V x) noexcept { return S::mul(lane, x); }
  [[gnu::always_inline]] static V fold(V a, V b) noexcept { return S::mul(a, b); }
};
// NaN sticks; of two zeros the earlier stays.
template <class S>
struct MaxF32 {
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  using V = typename S::V;
  [[gnu::always_inline]] static V step(V lane, V x) noexcept {
    return S::select(S::is_nan(x), x, S::max(x, lane));
  }
  [[gnu::always_inline]] static V fold(V a, V b) noexcept { return step(a, b); }
};
// NaN is passed over.
template <class S>
struct MaxOfNumbersF32 : MaxF32<S> {
  using V = typename S::V;
  [[gnu::always_inline]] static V step(V lane, V x) noexcept { return S::max(x, lane); }
  [[gnu::always_inline]] static V fold(V a, V b) noexcept { return S::max(a, b); }
};
template <class S>
struct MinF32 {
  static constexpr float kStart = std::numeric_limits<float>::infinity();
  using V = typename S::V;
  [[gnu::always_inline]] static V step(V lane, V x) noexcept {
    return S::select(S::is_nan(x), x, S::min(x, lane));
  }
  [[gnu::always_inline]] static V fold(V a, V b) noexcept { return step(a, b); }
};

// The lanes of one row: kWidth consecutive elements in kWidth / kLanes vectors.
template <class S, template <class> class Op, int kWidth = 16>
struct RowLanesF32 {
  using V = typename S::V;
  static constexpr int kVectors = kWidth / S::kLanes;
  V v[kVectors];

  [[gnu::always_inline]] RowLanesF32() noexcept {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) v[j] = S::set(Op<S>::kStart);
  }
  [[gnu::always_inline]] void step(int j, V x) noexcept { v[j] = Op<S>::step(v[j], x); }

  // The tree w = kWidth / 2, .., 2, 1: first between vectors, then inside one. Lane 0 is the
  // result.
  [[gnu::always_inline]] V fold() const noexcept {
    V u[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) u[j] = v[j];
#pragma GCC unroll 4
    for (int w = kVectors / 2; w >= 1; w /= 2) {
#pragma GCC unroll 8
      for (int j = 0; j < w; ++j) u[j] = Op<S>::fold(u[j], u[j + w]);
    }
    return S::first_lane(fold_lanes<S::kLanes / 2>(u[0]));
  }

 private:
  template <int kFolded>
  [[gnu::always_inline]] static V fold_lanes(V u) noexcept {
    if constexpr (kFolded == 0)
      return u;
    else
      return fold_lanes<kFolded / 2>(Op<S>::fold(u, S::template upper<kFolded>(u)));
  }
};

// The lanes of a sum of one row, in double.
template <class S>
struct RowDoublesF32 {
  static constexpr int kVectors = 16 / S::kLanes;
  typename S::D v[kVectors];

  [[gnu::always_inline]] RowDoublesF32() noexcept {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) v[j] = S::dzero();
  }
  [[gnu::always_inline]] void step(int j, typename S::V x) noexcept { v[j] = S::dadd(v[j], x); }
  [[gnu::always_inline]] double fold() const noexcept {
    alignas(64) double lane[16];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) S::dstore(lane + j * S::kLanes, v[j]);
#pragma GCC unroll 4
    for (int w = 8; w >= 1; w /= 2) {
#pragma GCC unroll 8
      for (int j = 0; j < w; ++j) lane[j] = lane[j] + lane[j + w];
    }
    return lane[0];
  }
};

// Calls body(j, i, v) for each vector of x[0, n), j the lane vector, i the element; the last one
// padded with `fill` and called as tail(j, i, v, count).
template <class S, class Body, class Tail>
[[gnu::always_inline]] inline void for_each_f32(const float* x, std::int64_t n, float fill,
                                                Body body, Tail tail) noexcept {
  constexpr int kVectors = 16 / S::kLanes;
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) {
      const std::int64_t at = i + j * S::kLanes;
      body(j, at, S::load(x + at));
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < kVectors; ++j) {
    const std::int64_t at = i + j * S::kLanes;
    const std::int64_t left = n - at;
    if (left >= S::kLanes) {
      body(j, at, S::load(x + at));
    } else if (left > 0) {
      tail(j, at, S::load_tail(x + at, static_cast<int>(left), S::set(fill)),
           static_cast<int>(left));
    }
  }
}

// The lanes of kLanes columns at once: lane[r mod 16] takes row r.
template <class S, template <class> class Op>
struct ColumnLanesF32 {
  using V = typename S::V;
  V lane[16];

  [[gnu::always_inline]] ColumnLanesF32() noexcept {
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) lane[j] = S::set(Op<S>::kStart);
  }
  [[gnu::always_inline]] void step(std::int64_t row, V x) noexcept {
    V& l = lane[row & 15];
    l = Op<S>::step(l, x);
  }
  // Lanes from `rows` on were never stepped and fold to nothing.
  [[gnu::always_inline]] V fold(std::int64_t rows = 16) noexcept {
#pragma GCC unroll 4
    for (int w = 8; w >= 1; w /= 2) {
#pragma GCC unroll 8
      for (int j = 0; j < w; ++j)
        if (j + w < rows) lane[j] = Op<S>::fold(lane[j], lane[j + w]);
    }
    return lane[0];
  }
};

}  // namespace intact
