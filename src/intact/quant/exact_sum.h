// exact_sum.h: a sum of floats without rounding, so that order and grouping cannot matter.
//
// A fixed-point number of 384 bits in two's complement whose last bit weighs 2^-149, the smallest
// float: every float, and every double that is a sum of floats, is a multiple of it. Magnitudes
// stay below 2^234, which is 2^106 times the largest float. Integer addition is associative,
// therefore sums, partial sums and merges of the same values have the same bits
// (docs/maths/calibration.md).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "intact/result.h"

namespace intact {

class ExactSum {
 public:
  // Requires a finite multiple of 2^-149 below 2^191 in magnitude: any float, or any double that
  // arose from adding floats.
  void add(double x);
  void add(const ExactSum& other) noexcept;

  // Returns the sum rounded once, half to even.
  [[nodiscard]] double value() const noexcept;

  // Returns 96 hexadecimal digits, most significant first; and the inverse.
  // Errors: kInvalidArgument for any other text.
  [[nodiscard]] std::string to_hex() const;
  static Result<ExactSum> from_hex(std::string_view text);

  friend bool operator==(const ExactSum&, const ExactSum&) = default;

 private:
  std::array<std::uint64_t, 6> limbs_{};  // Least significant first.
};

}  // namespace intact
