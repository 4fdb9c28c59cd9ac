// calibration_text.h: the words of a .cal file (calibration_file.h): names, numbers, histograms.
#pragma once

#include <string>
#include <string_view>

#include "intact/result.h"
#include "quant/observer.h"

namespace intact::calibration_text {

// Returns a name in double quotes; quotes, backslashes and control bytes are escaped.
std::string quoted(std::string_view name);

// Reads words from one line, left to right. Errors name what was expected.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  // True when nothing but blanks is left.
  [[nodiscard]] bool empty();
  // The next word, up to a blank; empty at the end.
  std::string_view word();
  Result<std::string> name();       // What quoted() wrote.
  Result<float> real();             // A finite float.
  Result<std::uint64_t> natural();  // Decimal.
  Result<std::int64_t> integer();
  Result<std::string_view> value(std::string_view key);  // The v of a word key=v.

 private:
  void skip_blanks();
  std::string_view rest_;
};

Result<std::uint64_t> parse_natural(std::string_view text);
Result<std::int64_t> parse_integer(std::string_view text);
Result<double> parse_double(std::string_view text);

// The counts as "first:c,c,0x5,c": the first bin that is not empty, then counts to the last one;
// 0xN stands for N empty bins. "none" when all are empty.
std::string bins_text(const Histogram& histogram);
Status parse_bins(std::string_view text, Histogram& histogram);

// One line of the histograms section, without the name.
std::string stats_text(const TensorStats& stats);
// Errors also when min, max and the counts contradict each other.
Result<TensorStats> parse_stats(Line& line);

}  // namespace intact::calibration_text
