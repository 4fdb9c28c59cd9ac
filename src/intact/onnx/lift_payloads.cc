#include "onnx/lift_payloads.h"

#include <cstdint>

namespace intact {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kLargeBytes = 4096;

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

// Field numbers of onnx.proto.
constexpr std::uint32_t kModelGraph = 7;
constexpr std::uint32_t kGraphInitializer = 5;
constexpr std::uint32_t kTensorRawData = 9;
constexpr std::uint32_t kTensorExternalData = 13;
constexpr std::uint32_t kTensorDataLocation = 14;
constexpr std::uint32_t kEntryKey = 1;
constexpr std::uint32_t kEntryValue = 2;
constexpr std::uint64_t kExternal = 1;

struct Field {
  std::uint32_t number = 0;
  std::uint32_t type = 0;
  Bytes whole;  // Tag and all.
  Bytes value;  // Of a length-delimited field.
};

// The fields of one message, in order.
class Reader {
 public:
  explicit Reader(Bytes message) : left_(message) {}

  [[nodiscard]] bool done() const { return left_.empty(); }

  // Returns the next field, or nothing when the bytes are none.
  std::optional<Field> next() {
    const Bytes start = left_;
    const auto tag = varint();
    if (!tag) return std::nullopt;
    Field field{
        static_cast<std::uint32_t>(*tag >> 3), static_cast<std::uint32_t>(*tag & 7), {}, {}};
    std::optional<std::uint64_t> bytes = 0;
    if (field.type == kVarint && !varint()) return std::nullopt;
    if (field.type == kFixed64) bytes = 8;
    if (field.type == kFixed32) bytes = 4;
    if (field.type == kLength) bytes = varint();
    const bool known = field.type == kVarint || field.type == kFixed64 || field.type == kFixed32 ||
                       field.type == kLength;
    if (!known || !bytes || *bytes > left_.size()) return std::nullopt;
    field.value = left_.first(static_cast<std::size_t>(*bytes));
    left_ = left_.subspan(field.value.size());
    field.whole = start.first(start.size() - left_.size());
    return field;
  }

 private:
  std::optional<std::uint64_t> varint() {
    std::uint64_t x = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto b = std::to_integer<std::uint64_t>(left_.front());
      left_ = left_.subspan(1);
      x |= (b & 0x7F) << shift;
      if (b < 0x80) return x;
    }
    return std::nullopt;
  }

  Bytes left_;
};

void put(std::string& out, Bytes bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void put_varint(std::string& out, std::uint64_t x) {
  for (; x >= 0x80; x >>= 7) out += static_cast<char>((x & 0x7F) | 0x80);
  out += static_cast<char>(x);
}

void put_field(std::string& out, std::uint32_t number, std::string_view value) {
  put_varint(out, number << 3 | kLength);
  put_varint(out, value.size());
  out += value;
}

void put_entry(std::string& out, std::string_view key, std::string_view value) {
  std::string entry;
  put_field(entry, kEntryKey, key);
  put_field(entry, kEntryValue, value);
  put_field(out, kTensorExternalData, entry);
}

// Copies a message, each length-delimited field of that number rewritten by `rewrite`: Bytes ->
// optional<string>.
template <class Rewrite>
std::optional<std::string> rewrite_fields(Bytes message, std::uint32_t number,
                                          const Rewrite& rewrite) {
  std::string out;
  for (Reader reader(message); !reader.done();) {
    const auto field = reader.next();
    if (!field) return std::nullopt;
    if (field->number != number || field->type != kLength) {
      put(out, field->whole);
      continue;
    }
    const auto value = rewrite(field->value);
    if (!value) return std::nullopt;
    put_field(out, number, *value);
  }
  return out;
}

// A tensor as it is, or with its raw data outside.
std::optional<std::string> lift_tensor(Bytes tensor, const std::byte* file) {
  std::string out;
  Bytes raw;
  bool plain = true;  // Raw data comes once, and nothing else says where data is.
  for (Reader reader(tensor); !reader.done();) {
    const auto field = reader.next();
    if (!field) return std::nullopt;
    plain &= field->number != kTensorExternalData && field->number != kTensorDataLocation;
    if (field->number != kTensorRawData) {
      put(out, field->whole);
      continue;
    }
    plain &= raw.empty() && field->type == kLength;
    raw = field->value;
  }
  if (!plain || raw.size() < kLargeBytes)
    return std::string(reinterpret_cast<const char*>(tensor.data()), tensor.size());
  put_varint(out, kTensorDataLocation << 3 | kVarint);
  put_varint(out, kExternal);
  put_entry(out, "location", kThisFile);
  put_entry(out, "offset", std::to_string(raw.data() - file));
  put_entry(out, "length", std::to_string(raw.size()));
  return out;
}

}  // namespace

std::optional<std::string> lift_payloads(Bytes model) {
  return rewrite_fields(model, kModelGraph, [&](Bytes graph) {
    return rewrite_fields(graph, kGraphInitializer,
                          [&](Bytes tensor) { return lift_tensor(tensor, model.data()); });
  });
}

}  // namespace intact
