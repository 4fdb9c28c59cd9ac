#include "quant/calibration_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace intact::calibration_text {
namespace {

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

template <class T>
bool parse_all(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string real_text(float x) { return fmt::format("{}", x); }

}  // namespace

std::string quoted(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text + '"';
}

void Line::skip_blanks() {
  const std::size_t n = rest_.find_first_not_of(" \t\r");
  rest_.remove_prefix(n == std::string_view::npos ? rest_.size() : n);
}

bool Line::empty() {
  skip_blanks();
  return rest_.empty();
}

std::string_view Line::word() {
  skip_blanks();
  const std::string_view w = rest_.substr(0, rest_.find_first_of(" \t\r"));
  rest_.remove_prefix(w.size());
  return w;
}

Result<std::string> Line::name() {
  skip_blanks();
  if (rest_.empty() || rest_[0] != '"') return bad("expected a tensor name in double quotes");
  std::string name;
  for (std::size_t i = 1; i < rest_.size(); ++i) {
    if (rest_[i] == '"') {
      rest_.remove_prefix(i + 1);
      return name;
    }
    if (rest_[i] != '\\') {
      name += rest_[i];
      continue;
    }
    const char escape = i + 1 < rest_.size() ? rest_[i + 1] : '\0';
    if (escape == '"' || escape == '\\') {
      name += escape;
      i += 1;
    } else if (escape == 'x' && i + 3 < rest_.size() && hex_digit(rest_[i + 2]) >= 0 &&
               hex_digit(rest_[i + 3]) >= 0) {
      name += static_cast<char>(hex_digit(rest_[i + 2]) * 16 + hex_digit(rest_[i + 3]));
      i += 3;
    } else {
      return bad("a name holds an unknown escape; allowed are \\\", \\\\ and \\xHH");
    }
  }
  return bad("a name has no closing quote");
}

Result<std::uint64_t> parse_natural(std::string_view text) {
  std::uint64_t value = 0;
  if (!parse_all(text, value)) return bad(fmt::format("'{}' is not a count", text));
  return value;
}

Result<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  if (!parse_all(text, value)) return bad(fmt::format("'{}' is not an integer", text));
  return value;
}

Result<double> parse_double(std::string_view text) {
  double value = 0.0;
  if (!parse_all(text, value) || !std::isfinite(value)) {
    return bad(fmt::format("'{}' is not a finite number", text));
  }
  return value;
}

Result<float> Line::real() {
  const std::string_view w = word();
  float value = 0.0f;
  if (!parse_all(w, value) || !std::isfinite(value)) {
    return bad(fmt::format("'{}' is not a finite number", w));
  }
  return value;
}

Result<std::uint64_t> Line::natural() { return parse_natural(word()); }
Result<std::int64_t> Line::integer() { return parse_integer(word()); }

Result<std::string_view> Line::value(std::string_view key) {
  const std::string_view w = word();
  if (w.size() <= key.size() || !w.starts_with(key) || w[key.size()] != '=') {
    return bad(fmt::format("expected {}=..., found '{}'", key, w));
  }
  return w.substr(key.size() + 1);
}

std::string bins_text(const Histogram& histogram) {
  const auto& counts = histogram.counts;
  const auto used = [](std::uint64_t c) { return c != 0; };
  const auto first = std::find_if(counts.begin(), counts.end(), used);
  if (first == counts.end()) return "none";
  const auto last = std::find_if(counts.rbegin(), counts.rend(), used).base();
  std::string text = fmt::format("{}:", first - counts.begin());
  for (auto it = first; it != last;) {
    if (it != first) text += ',';
    const auto next = std::find_if(it, last, used);
    if (next != it) {
      text += fmt::format("0x{}", next - it);
      it = next;
    } else {
      text += fmt::format("{}", *it++);
    }
  }
  return text;
}

Status parse_bins(std::string_view text, Histogram& histogram) {
  histogram.counts.fill(0);
  if (text == "none") return {};
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return bad("bins lack their first index");
  INTACT_ASSIGN(std::uint64_t at, parse_natural(text.substr(0, colon)));
  text.remove_prefix(colon + 1);
  std::uint64_t total = 0;
  while (true) {
    const std::string_view item = text.substr(0, text.find(','));
    const bool run = item.starts_with("0x");
    INTACT_ASSIGN(const std::uint64_t n, parse_natural(run ? item.substr(2) : item));
    const std::uint64_t bins = run ? n : 1;
    if (bins == 0 || at >= Histogram::kBins || bins > Histogram::kBins - at) {
      return bad(fmt::format("bins run past {}", Histogram::kBins));
    }
    if (!run) {
      histogram.counts[static_cast<std::size_t>(at)] = n;
      if (n > std::numeric_limits<std::uint64_t>::max() - total) return bad("counts overflow");
      total += n;
    }
    at += bins;
    if (item.size() == text.size()) return {};
    text.remove_prefix(item.size() + 1);
  }
}

std::string stats_text(const TensorStats& s) {
  std::string text =
      fmt::format("samples={} min={} max={} e={} zeros={} sum_min={} sum_max={}", s.samples,
                  real_text(s.min), real_text(s.max), s.histogram.exponent, s.histogram.zeros,
                  s.sum_min.to_hex(), s.sum_max.to_hex());
  if (s.moving) {
    text += fmt::format(" moving={},{},{}", s.moving->beta, s.moving->min, s.moving->max);
  }
  return text + " bins=" + bins_text(s.histogram);
}

Result<TensorStats> parse_stats(Line& line) {
  TensorStats s;
  INTACT_ASSIGN(const auto samples, line.value("samples"));
  INTACT_ASSIGN(s.samples, parse_natural(samples));
  for (const auto& [key, target] : {std::pair{"min", &s.min}, std::pair{"max", &s.max}}) {
    INTACT_ASSIGN(const auto text, line.value(key));
    if (!parse_all(text, *target) || !std::isfinite(*target)) {
      return bad(fmt::format("'{}' is not a finite number", text));
    }
  }
  INTACT_ASSIGN(const auto exponent_text, line.value("e"));
  INTACT_ASSIGN(const std::int64_t exponent, parse_integer(exponent_text));
  if (exponent < Histogram::kMinExponent || exponent > Histogram::kMaxExponent) {
    return bad(fmt::format("e={} is outside of [{}, {}]", exponent, Histogram::kMinExponent,
                           Histogram::kMaxExponent));
  }
  s.histogram.exponent = static_cast<int>(exponent);
  INTACT_ASSIGN(const auto zeros, line.value("zeros"));
  INTACT_ASSIGN(s.histogram.zeros, parse_natural(zeros));
  INTACT_ASSIGN(const auto sum_min, line.value("sum_min"));
  INTACT_ASSIGN(s.sum_min, ExactSum::from_hex(sum_min));
  INTACT_ASSIGN(const auto sum_max, line.value("sum_max"));
  INTACT_ASSIGN(s.sum_max, ExactSum::from_hex(sum_max));
  std::string_view bins = line.word();
  if (bins.starts_with("moving=")) {
    MovingAverage m;
    std::string_view list = bins.substr(7);
    double* const parts[] = {&m.beta, &m.min, &m.max};
    for (double* part : parts) {
      const std::string_view item = list.substr(0, list.find(','));
      INTACT_ASSIGN(*part, parse_double(item));
      list.remove_prefix(std::min(list.size(), item.size() + 1));
    }
    if (!list.empty() || !(m.beta >= 0.0 && m.beta < 1.0))
      return bad("moving=B,min,max is malformed");
    s.moving = m;
    bins = line.word();
  }
  if (!bins.starts_with("bins=")) return bad("expected bins=...");
  INTACT_TRY(parse_bins(bins.substr(5), s.histogram));
  const float top = std::max(-s.min, s.max);
  if (s.min > s.max || s.histogram.exponent != Histogram::exponent_for(top)) {
    return bad("min, max and e contradict each other; histogram lines must not be edited");
  }
  return s;
}

}  // namespace intact::calibration_text
