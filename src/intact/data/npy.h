// npy.h: the header of NumPy's .npy format, versions 1 to 3, read with distrust.
//
//   "\x93NUMPY" major minor, header length (2 bytes in version 1, 4 after), then a Python literal
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//
// Source: NumPy's documentation of numpy.lib.format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/dtype.h"
#include "base/shape.h"
#include "intact/result.h"

namespace intact {

// Longer headers are refused.
inline constexpr std::size_t kMaxNpyHeaderBytes = 65536;

struct NpyHeader {
  Dtype dtype = Dtype::kUndefined;  // kUndefined when text_chars > 0.
  std::int64_t text_chars = 0;      // 'U' arrays: characters (4 bytes each) of an element.
  Shape shape;                      // Product within kMaxElements, zeros counted as ones.
  std::size_t data_offset = 0;      // Of the first element, in the file.

  [[nodiscard]] std::uint64_t element_bytes() const noexcept;
  [[nodiscard]] std::uint64_t data_bytes() const noexcept;
};

// Returns how many bytes of the file the header takes, from its first 12 bytes (fewer: refused).
Result<std::size_t> npy_header_bytes(std::span<const std::byte> start);

// Parses a whole header. Errors: kInvalidArgument for bytes that are no .npy header; kUnsupported,
// with the remedy, for big-endian, Fortran-ordered, structured, object, complex and other types.
Result<NpyHeader> parse_npy_header(std::span<const std::byte> header);

// Returns the header of an array, padded to a multiple of 64 bytes and at least min_bytes.
// Requires a type that numpy has (not bfloat16, not 4 bits).
std::string format_npy_header(Dtype dtype, std::span<const std::int64_t> shape,
                              std::size_t min_bytes = 0);

// True for the types that .npy can hold.
bool npy_has(Dtype dtype) noexcept;

}  // namespace intact
