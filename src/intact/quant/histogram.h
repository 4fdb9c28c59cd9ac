// histogram.h: one histogram that is a pure function of a multiset of floats.
//
// 2048 bins of one width 2^e, anchored at zero, mirror-symmetric. Exact zeros are counted apart,
// because code z represents them without error. Value x != 0 falls into
//
//   j   = floor(|x| / 2^e)
//   bin = 1024 + j      for x > 0, which is [j, j + 1) 2^e
//   bin = 1023 - j      for x < 0, which is (-(j + 1), -j] 2^e                                  (7)
//   e   = max(floor(log2(max |x|)) - 9, -120)     so that 512 <= max j <= 1023 above 2^-111     (8)
//
// floor(floor(a) / 2) = floor(a / 2), so one step of e adds bins pairwise away from zero and gives
// exactly what binning at the wider width from the start would have given. e depends on max |x|
// alone, hence the whole histogram depends on which values were seen and on nothing else.
// Proof and consequences: docs/maths/calibration.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"

namespace intact {

struct Histogram {
  static constexpr int kBins = 2048;
  static constexpr int kHalf = kBins / 2;
  static constexpr int kMinExponent = -120;
  static constexpr int kMaxExponent = 118;  // floor(log2(largest float)) - 9.

  int exponent = kMinExponent;  // e; kMinExponent as long as no value needs more.
  std::uint64_t zeros = 0;
  std::array<std::uint64_t, kBins> counts{};

  // Returns 2^e.
  [[nodiscard]] double width() const noexcept;
  // Returns the real value of the left edge of bin `b`, b in [0, kBins].
  [[nodiscard]] double edge(int b) const noexcept { return (b - kHalf) * width(); }
  // Returns the number of values, zeros included.
  [[nodiscard]] std::uint64_t total() const noexcept;

  // Returns (8) for a largest magnitude.
  static int exponent_for(float absmax) noexcept;
  // Raises e to at least `new_exponent`, adding bins pairwise.
  void widen(int new_exponent) noexcept;
  // Counts finite values whose magnitudes are below 1024 2^e.
  void count(std::span<const float> x) noexcept;
  // Adds the values of another histogram. Commutative and associative.
  void merge(const Histogram& other) noexcept;

  friend bool operator==(const Histogram&, const Histogram&) = default;
};

// The extremes of a run of values; an empty run leaves the defaults.
struct Extremes {
  float min = 0.0f;  // Never -0.
  float max = 0.0f;
  bool finite = true;  // False when a NaN or an infinity was met; min and max are then undefined.
};

// Returns the extremes of x: [n], n > 0.
Extremes find_extremes(std::span<const float> x) noexcept;

// Widens as needed and counts x, reading memory once; returns the extremes. When they are not
// finite the histogram may hold a part of x and must be dropped. `pool` may be null.
Extremes observe_values(std::span<const float> x, Histogram& histogram, ThreadPool* pool = nullptr);

}  // namespace intact
