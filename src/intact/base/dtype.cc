#include "base/dtype.h"

#include <array>

namespace intact {
namespace {

struct Row {
  Dtype dtype;
  std::string_view name;
  int bits;
};

constexpr std::array<Row, 17> kRows{{
    {Dtype::kUndefined, "undefined", 0},
    {Dtype::kFloat32, "float32", 32},
    {Dtype::kUint8, "uint8", 8},
    {Dtype::kInt8, "int8", 8},
    {Dtype::kUint16, "uint16", 16},
    {Dtype::kInt16, "int16", 16},
    {Dtype::kInt32, "int32", 32},
    {Dtype::kInt64, "int64", 64},
    {Dtype::kString, "string", 0},
    {Dtype::kBool, "bool", 8},
    {Dtype::kFloat16, "float16", 16},
    {Dtype::kFloat64, "float64", 64},
    {Dtype::kUint32, "uint32", 32},
    {Dtype::kUint64, "uint64", 64},
    {Dtype::kBFloat16, "bfloat16", 16},
    {Dtype::kUint4, "uint4", 4},
    {Dtype::kInt4, "int4", 4},
}};

const Row& row_of(Dtype dtype) noexcept {
  for (const Row& row : kRows)
    if (row.dtype == dtype) return row;
  return kRows[0];
}

}  // namespace

int bits_of(Dtype dtype) noexcept { return row_of(dtype).bits; }

std::size_t bytes_of(Dtype dtype, std::int64_t count) noexcept {
  const auto n = static_cast<std::size_t>(count);
  const auto bits = static_cast<std::size_t>(bits_of(dtype));
  return bits == 4 ? (n + 1) / 2 : n * (bits / 8);
}

std::string_view name_of(Dtype dtype) noexcept { return row_of(dtype).name; }

std::optional<Dtype> dtype_from_name(std::string_view name) noexcept {
  for (const Row& row : kRows)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

bool is_float(Dtype dtype) noexcept {
  return dtype == Dtype::kFloat32 || dtype == Dtype::kFloat64 || dtype == Dtype::kFloat16 ||
         dtype == Dtype::kBFloat16;
}

bool is_integer(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::kInt4:
    case Dtype::kUint4:
    case Dtype::kInt8:
    case Dtype::kUint8:
    case Dtype::kInt16:
    case Dtype::kUint16:
    case Dtype::kInt32:
    case Dtype::kUint32:
    case Dtype::kInt64:
    case Dtype::kUint64:
      return true;
    default:
      return false;
  }
}

}  // namespace intact
