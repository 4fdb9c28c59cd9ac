#include "ir/text.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/half.h"

namespace intact {
namespace {

// Returns the length of the UTF-8 sequence at the start of s (RFC 3629), or 0 when there is none.
std::size_t utf8_length(std::string_view s) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t n = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (n == 0 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned char second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second > 0x9F;
  const bool too_large = lead == 0xF4 && second > 0x8F;
  return overlong || surrogate || too_large ? 0 : n;
}

void append_escaped(std::string& out, std::string_view text, std::size_t limit) {
  std::size_t i = 0;
  while (i < text.size() && i < limit) {
    const char c = text[i];
    const std::size_t n = utf8_length(text.substr(i));
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (n == 0 || static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += text.substr(i, n);
    }
    i += n == 0 ? 1 : n;
  }
  if (i < text.size()) out += "...";
}

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

template <class T>
bool read_all(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class T>
bool read_hex(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class Float, class Bits>
bool read_float(std::string_view text, Float& out) {
  if (text.starts_with("0x")) {
    Bits bits{};
    if (!read_hex(text.substr(2), bits)) return false;
    out = std::bit_cast<Float>(bits);
    return true;
  }
  const bool negative = text.starts_with('-');
  const std::string_view magnitude = negative ? text.substr(1) : text;
  if (magnitude == "inf" || magnitude == "nan") {
    using Limits = std::numeric_limits<Float>;
    const Float x = magnitude == "inf" ? Limits::infinity() : Limits::quiet_NaN();
    out = negative ? -x : x;
    return true;
  }
  if (magnitude.empty() || !(is_digit(magnitude[0]) || magnitude[0] == '.')) return false;
  return read_all(text, out);
}

template <class Float, class Bits>
std::string float_text(Float x) {
  if (!std::isnan(x)) return fmt::format("{}", x);
  const auto bits = std::bit_cast<Bits>(x);
  const auto usual = std::bit_cast<Bits>(std::numeric_limits<Float>::quiet_NaN());
  return bits == usual ? "nan" : fmt::format("{:#x}", bits);
}

template <class T>
T load(const Tensor& t, std::int64_t i) noexcept {
  T x;
  std::memcpy(&x, t.raw() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
  return x;
}
template <class T>
void store(Tensor& t, std::int64_t i, T x) noexcept {
  std::memcpy(t.raw() + static_cast<std::size_t>(i) * sizeof(T), &x, sizeof(T));
}

template <class T>
bool store_integer(Tensor& t, std::int64_t i, std::string_view text) {
  T x{};
  if (!read_all(text, x)) return false;
  store<T>(t, i, x);
  return true;
}

// A 16-bit float is spelled as the float of the same value, which reads back exactly.
std::string half_text(std::uint16_t bits, float (*decode)(std::uint16_t),
                      std::uint16_t (*encode)(float)) {
  const float x = decode(bits);
  return std::isnan(x) && encode(std::numeric_limits<float>::quiet_NaN()) != bits
             ? fmt::format("{:#x}", bits)
             : number_text(x);
}

bool store_half(Tensor& t, std::int64_t i, std::string_view text, std::uint16_t (*encode)(float)) {
  std::uint16_t bits = 0;
  if (text.starts_with("0x")) {
    if (!read_hex(text.substr(2), bits)) return false;
  } else {
    float x = 0;
    if (!read_float<float, std::uint32_t>(text, x)) return false;
    bits = encode(x);
  }
  store<std::uint16_t>(t, i, bits);
  return true;
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  append_escaped(out, text, text.size());
  out += '"';
  return out;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  append_escaped(out, text, limit);
  return out;
}

bool is_bare_name(std::string_view name) noexcept {
  for (const char c : name)
    if (!is_letter(c) && !is_digit(c) && c != '.' && c != '/' && c != '$' && c != '-') return false;
  return !name.empty();
}

bool is_identifier(std::string_view text) noexcept {
  if (text.empty() || !is_letter(text[0]) || text.back() == '.') return false;
  for (const char c : text)
    if (!is_letter(c) && !is_digit(c) && c != '.') return false;
  return true;
}

std::string number_text(float x) { return float_text<float, std::uint32_t>(x); }
std::string number_text(double x) { return float_text<double, std::uint64_t>(x); }

std::string element_text(const Tensor& t, std::int64_t i) {
  switch (t.dtype()) {
    case Dtype::kFloat32:
      return number_text(load<float>(t, i));
    case Dtype::kFloat64:
      return number_text(load<double>(t, i));
    case Dtype::kFloat16:
      return half_text(load<std::uint16_t>(t, i), &float_from_half, &half_from_float);
    case Dtype::kBFloat16:
      return half_text(load<std::uint16_t>(t, i), &float_from_bfloat16, &bfloat16_from_float);
    case Dtype::kInt8:
      return fmt::format("{}", static_cast<int>(load<std::int8_t>(t, i)));
    case Dtype::kUint8:
      return fmt::format("{}", static_cast<int>(load<std::uint8_t>(t, i)));
    case Dtype::kInt16:
      return fmt::format("{}", load<std::int16_t>(t, i));
    case Dtype::kUint16:
      return fmt::format("{}", load<std::uint16_t>(t, i));
    case Dtype::kInt32:
      return fmt::format("{}", load<std::int32_t>(t, i));
    case Dtype::kUint32:
      return fmt::format("{}", load<std::uint32_t>(t, i));
    case Dtype::kInt64:
      return fmt::format("{}", load<std::int64_t>(t, i));
    case Dtype::kUint64:
      return fmt::format("{}", load<std::uint64_t>(t, i));
    case Dtype::kBool: {
      const auto x = load<std::uint8_t>(t, i);
      return x == 0 ? "false" : x == 1 ? "true" : fmt::format("{}", x);
    }
    case Dtype::kInt4:
    case Dtype::kUint4: {
      const int nibble = (load<std::uint8_t>(t, i / 2) >> (i % 2 * 4)) & 0xF;
      return fmt::format("{}", t.dtype() == Dtype::kInt4 && nibble > 7 ? nibble - 16 : nibble);
    }
    case Dtype::kString:
    case Dtype::kUndefined:
      break;
  }
  INTACT_CHECK(false, "a {} tensor has no elements to print", name_of(t.dtype()));
  return {};
}

bool store_element(Tensor& t, std::int64_t i, std::string_view text) {
  switch (t.dtype()) {
    case Dtype::kFloat32: {
      float x = 0;
      if (!read_float<float, std::uint32_t>(text, x)) return false;
      store(t, i, x);
      return true;
    }
    case Dtype::kFloat64: {
      double x = 0;
      if (!read_float<double, std::uint64_t>(text, x)) return false;
      store(t, i, x);
      return true;
    }
    case Dtype::kFloat16:
      return store_half(t, i, text, &half_from_float);
    case Dtype::kBFloat16:
      return store_half(t, i, text, &bfloat16_from_float);
    case Dtype::kInt8:
      return store_integer<std::int8_t>(t, i, text);
    case Dtype::kUint8:
      return store_integer<std::uint8_t>(t, i, text);
    case Dtype::kInt16:
      return store_integer<std::int16_t>(t, i, text);
    case Dtype::kUint16:
      return store_integer<std::uint16_t>(t, i, text);
    case Dtype::kInt32:
      return store_integer<std::int32_t>(t, i, text);
    case Dtype::kUint32:
      return store_integer<std::uint32_t>(t, i, text);
    case Dtype::kInt64:
      return store_integer<std::int64_t>(t, i, text);
    case Dtype::kUint64:
      return store_integer<std::uint64_t>(t, i, text);
    case Dtype::kBool: {
      if (text != "0" && text != "1" && text != "true" && text != "false") return false;
      store<std::uint8_t>(t, i, text == "1" || text == "true" ? 1 : 0);
      return true;
    }
    case Dtype::kInt4:
    case Dtype::kUint4: {
      int x = 0;
      const int lo = t.dtype() == Dtype::kInt4 ? -8 : 0;
      if (!read_all(text, x) || x < lo || x > lo + 15) return false;
      const auto old = load<std::uint8_t>(t, i / 2);
      const unsigned code = static_cast<unsigned>(x) & 0xFU;
      const unsigned both = i % 2 == 0 ? (old & 0xF0U) | code : (old & 0x0FU) | (code << 4U);
      store(t, i / 2, static_cast<std::uint8_t>(both));
      return true;
    }
    case Dtype::kString:
    case Dtype::kUndefined:
      break;
  }
  return false;
}

std::uint64_t hash_of(std::span<const std::byte> bytes) noexcept {
  std::uint64_t h = 0xcbf29ce484222325U;
  for (const std::byte b : bytes) h = (h ^ static_cast<std::uint64_t>(b)) * 0x100000001b3U;
  return h;
}

}  // namespace intact
