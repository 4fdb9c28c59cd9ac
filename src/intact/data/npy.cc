#include "data/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <optional>
#include <string_view>

static_assert(std::endian::native == std::endian::little, "values are read as they lie");

namespace intact {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct TypeRow {
  Dtype dtype;
  std::string_view descr;
};
constexpr std::array<TypeRow, 12> kTypes{{
    {Dtype::kFloat16, "<f2"},
    {Dtype::kFloat32, "<f4"},
    {Dtype::kFloat64, "<f8"},
    {Dtype::kInt8, "|i1"},
    {Dtype::kInt16, "<i2"},
    {Dtype::kInt32, "<i4"},
    {Dtype::kInt64, "<i8"},
    {Dtype::kUint8, "|u1"},
    {Dtype::kUint16, "<u2"},
    {Dtype::kUint32, "<u4"},
    {Dtype::kUint64, "<u8"},
    {Dtype::kBool, "|b1"},
}};

auto bad(std::string message) { return fail(ErrorCode::kInvalidArgument, std::move(message)); }

// The few words of a Python literal that a header may hold.
class Literal {
 public:
  explicit Literal(std::string_view text) : text_(text) {}

  bool eat(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool eat_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  [[nodiscard]] char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  std::optional<std::string_view> string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return std::nullopt;
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view s = text_.substr(at_ + 1, end - at_ - 1);
    if (s.find('\\') != std::string_view::npos) return std::nullopt;
    at_ = end + 1;
    return s;
  }
  // A size: no sign, at most kMaxElements. Python 2 wrote 3L.
  std::optional<std::int64_t> size() {
    skip_space();
    const std::size_t start = at_;
    std::int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMaxElements) return std::nullopt;
    }
    if (at_ == start) return std::nullopt;
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;
    return value;
  }
  bool at_end() { return peek() == '\0' && at_ >= text_.size(); }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

// Untrusted text, made fit for a message.
std::string printable(std::string_view s) {
  std::string out;
  for (const char c : s.substr(0, 40))
    out += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
  return out;
}

Status set_type(std::string_view descr, NpyHeader& header) {
  for (const TypeRow& row : kTypes) {
    const bool one_byte = row.descr[0] == '|';
    if (descr == row.descr || (one_byte && descr.size() == 3 && descr[0] == '<' &&
                               descr.substr(1) == row.descr.substr(1))) {
      header.dtype = row.dtype;
      return {};
    }
  }
  if (descr.size() >= 3 && descr[0] == '<' && descr[1] == 'U') {
    Literal digits(descr.substr(2));
    const auto chars = digits.size();
    if (chars && *chars > 0 && *chars <= 65536 && digits.at_end()) {
      header.text_chars = *chars;
      return {};
    }
  }
  std::string_view remedy =
      "supported are f2, f4, f8, i1 to i8, u1 to u8 and b1; convert with "
      ".astype(numpy.float32)";
  if (!descr.empty() && descr[0] == '>')
    remedy = "big-endian arrays are not supported; convert with .astype(a.dtype.newbyteorder('<'))";
  return fail(ErrorCode::kUnsupported,
              fmt::format("the array has type '{}'; {}", printable(descr), remedy));
}

Status read_shape(Literal& text, NpyHeader& header) {
  if (!text.eat('(')) return bad("the .npy header's shape is not a tuple");
  std::int64_t product = 1;
  while (!text.eat(')')) {
    const auto size = text.size();
    if (!size) return bad("the .npy header's shape holds something that is no size below 2^40");
    if (header.shape.size() == kMaxRank)
      return bad(fmt::format("the array has more than {} dimensions", kMaxRank));
    if (*size > 0 && product > kMaxElements / *size)
      return bad("the .npy header's shape has more than 2^40 elements");
    product *= *size > 0 ? *size : 1;
    header.shape.push_back(*size);
    if (!text.eat(',') && text.peek() != ')')
      return bad("the .npy header's shape is not a tuple of sizes");
  }
  return {};
}

}  // namespace

std::uint64_t NpyHeader::element_bytes() const noexcept {
  return text_chars > 0 ? 4 * static_cast<std::uint64_t>(text_chars) : bytes_of(dtype, 1);
}

// At most 2^40 elements of 2^18 bytes.
std::uint64_t NpyHeader::data_bytes() const noexcept {
  for (const std::int64_t size : shape)
    if (size == 0) return 0;
  return static_cast<std::uint64_t>(num_elements(shape)) * element_bytes();
}

Result<std::size_t> npy_header_bytes(std::span<const std::byte> start) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(start[i]); };
  if (start.size() < 12) return bad("the array is shorter than a .npy header");
  for (std::size_t i = 0; i < kMagic.size(); ++i)
    if (byte(i) != static_cast<unsigned char>(kMagic[i]))
      return bad("this is no .npy array: it does not start with \\x93NUMPY");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3)
    return bad(fmt::format("the .npy format version is {}; supported are 1, 2 and 3", version));
  const std::size_t length = version == 1
                                 ? byte(8) | byte(9) << 8
                                 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > kMaxNpyHeaderBytes)
    return bad(fmt::format("the .npy header claims {} bytes; the limit is {}", length,
                           kMaxNpyHeaderBytes));
  const std::size_t total = (version == 1 ? 10 : 12) + length;
  if (total < 12) return bad("the .npy header is empty");
  return total;
}

Result<NpyHeader> parse_npy_header(std::span<const std::byte> bytes) {
  INTACT_ASSIGN(const std::size_t total, npy_header_bytes(bytes));
  if (bytes.size() < total) return bad("the .npy header is cut short");
  const std::size_t prefix = std::to_integer<int>(bytes[6]) == 1 ? 10 : 12;
  Literal text({reinterpret_cast<const char*>(bytes.data()) + prefix, total - prefix});

  NpyHeader header;
  header.data_offset = total;
  bool has_descr = false, has_order = false, has_shape = false, fortran = false;
  if (!text.eat('{')) return bad("the .npy header is no Python dictionary");
  while (!text.eat('}')) {
    const auto key = text.string();
    if (!key || !text.eat(':')) return bad("the .npy header is no Python dictionary");
    if (*key == "descr" && !has_descr) {
      has_descr = true;
      if (text.peek() == '[')
        return fail(ErrorCode::kUnsupported,
                    "the array is structured (it has named fields); save each field as an array "
                    "of its own");
      const auto descr = text.string();
      if (!descr) return bad("the .npy header's descr is no string");
      INTACT_TRY(set_type(*descr, header));
    } else if (*key == "fortran_order" && !has_order) {
      has_order = true;
      fortran = text.eat_word("True");
      if (!fortran && !text.eat_word("False"))
        return bad("the .npy header's fortran_order is neither True nor False");
    } else if (*key == "shape" && !has_shape) {
      has_shape = true;
      INTACT_TRY(read_shape(text, header));
    } else {
      return bad(
          fmt::format("the .npy header has an unknown or repeated key '{}'", printable(*key)));
    }
    if (!text.eat(',') && text.peek() != '}') return bad("the .npy header is no Python dictionary");
  }
  if (!text.at_end()) return bad("the .npy header goes on after its dictionary");
  if (!has_descr || !has_order || !has_shape)
    return bad("the .npy header lacks descr, fortran_order or shape");
  if (fortran && header.shape.size() > 1)
    return fail(ErrorCode::kUnsupported,
                "the array is stored in Fortran order; save numpy.ascontiguousarray(a) instead");
  return header;
}

bool npy_has(Dtype dtype) noexcept {
  for (const TypeRow& row : kTypes)
    if (row.dtype == dtype) return true;
  return false;
}

std::string format_npy_header(Dtype dtype, std::span<const std::int64_t> shape,
                              std::size_t min_bytes) {
  std::string_view descr;
  for (const TypeRow& row : kTypes)
    if (row.dtype == dtype) descr = row.descr;
  std::string sizes;
  for (std::size_t i = 0; i < shape.size(); ++i)
    sizes += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  if (shape.size() == 1) sizes += ",";
  std::string literal =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, sizes);
  const std::size_t wanted = std::max(10 + literal.size() + 1, min_bytes);
  const std::size_t total = (wanted + 63) / 64 * 64;
  literal.append(total - 10 - literal.size() - 1, ' ');
  literal += '\n';
  std::string out(kMagic);
  out += '\x01';
  out += '\0';
  out += static_cast<char>(literal.size() & 0xFF);
  out += static_cast<char>(literal.size() >> 8);
  return out + literal;
}

}  // namespace intact
