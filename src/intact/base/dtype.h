// dtype.h: the element types of tensors, as ONNX names them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace intact {

// The values are those of onnx.TensorProto.DataType, so that import and export are a cast.
enum class Dtype : std::uint8_t {
  kUndefined = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBFloat16 = 16,
  kUint4 = 21,
  kInt4 = 22,
};

// Returns the width of one element in bits: 4 for int4 and uint4 (two codes a byte, element 2i in
// the low nibble), 8 for bool, 0 for string and undefined.
int bits_of(Dtype dtype) noexcept;

// Returns the bytes that `count` elements occupy, rounded up to whole bytes.
std::size_t bytes_of(Dtype dtype, std::int64_t count) noexcept;

// Returns the name used in text, messages and reports: "float32", "int8", "bool", ...
std::string_view name_of(Dtype dtype) noexcept;

// Returns the type of that name, or nothing.
std::optional<Dtype> dtype_from_name(std::string_view name) noexcept;

bool is_float(Dtype dtype) noexcept;
bool is_integer(Dtype dtype) noexcept;  // Signed or unsigned, 4 to 64 bits; not bool.

// The Dtype of a C++ type.
template <class T>
inline constexpr Dtype kDtypeOf = Dtype::kUndefined;
template <>
inline constexpr Dtype kDtypeOf<float> = Dtype::kFloat32;
template <>
inline constexpr Dtype kDtypeOf<double> = Dtype::kFloat64;
template <>
inline constexpr Dtype kDtypeOf<std::uint8_t> = Dtype::kUint8;
template <>
inline constexpr Dtype kDtypeOf<std::int8_t> = Dtype::kInt8;
template <>
inline constexpr Dtype kDtypeOf<std::uint16_t> = Dtype::kUint16;
template <>
inline constexpr Dtype kDtypeOf<std::int16_t> = Dtype::kInt16;
template <>
inline constexpr Dtype kDtypeOf<std::int32_t> = Dtype::kInt32;
template <>
inline constexpr Dtype kDtypeOf<std::uint32_t> = Dtype::kUint32;
template <>
inline constexpr Dtype kDtypeOf<std::int64_t> = Dtype::kInt64;
template <>
inline constexpr Dtype kDtypeOf<std::uint64_t> = Dtype::kUint64;
template <>
inline constexpr Dtype kDtypeOf<bool> = Dtype::kBool;

}  // namespace intact
