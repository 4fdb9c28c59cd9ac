// scheme.h: which codes a tensor gets, and which elements share a map.
//
//   tensor    one map
//   channel   one map for each index along an axis
//   group     one map for each run of `group` indices along an axis, everything else separate
//             (ONNX calls it blocked: the scale has the tensor's shape with the axis divided)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "quant/affine.h"

namespace intact {

enum class Granularity : std::uint8_t { kTensor, kChannel, kGroup };

struct Scheme {
  Dtype dtype = Dtype::kUint8;
  bool symmetric = false;
  Granularity granularity = Granularity::kTensor;
  int axis = 0;                  // For channel and group.
  std::int64_t group_elems = 0;  // For group: indices along the axis that share a map, > 0.
  friend bool operator==(const Scheme&, const Scheme&) = default;
};

// Returns all codes of int4, uint4, int8, uint8, int16 or uint16.
// Errors: kInvalidArgument for every other type.
Result<CodeRange> code_range(Dtype dtype);

// Returns {-hi, hi} of a signed type: {-127, 127} for int8, {-7, 7} for int4. Weights use it, so
// that |code| has one bound on every instruction set. Errors: kInvalidArgument when unsigned.
Result<CodeRange> symmetric_code_range(Dtype dtype);

// Returns "uint8 asymmetric per tensor", "int4 symmetric per group of 32 along axis 0", ...
std::string to_string(const Scheme& scheme);

// A row-major tensor seen around one axis: element (o, c, i) lies at (o * channels + c) * inner +
// i.
struct AxisView {
  std::size_t outer = 1;
  std::size_t channels = 1;
  std::size_t inner = 1;
  [[nodiscard]] std::size_t size() const noexcept { return outer * channels * inner; }
};

// Returns the view of `shape` around `axis`, which must be inside [0, rank).
AxisView axis_view(std::span<const std::int64_t> shape, std::size_t axis);

// (2) and (1) with one map for each channel: maps has view.channels entries.
template <Code T>
void quantize_channels(std::span<const float> x, const AxisView& view, std::span<const Affine> maps,
                       std::span<T> q);
template <Code T>
void dequantize_channels(std::span<const T> q, const AxisView& view, std::span<const Affine> maps,
                         std::span<float> x);

// Returns the number of maps of a grouped tensor: outer * ceil(channels / group) * inner. Map
// (o, g, i) lies at (o * groups + g) * inner + i; the last group may be shorter.
std::size_t num_groups(const AxisView& view, std::size_t group) noexcept;

// (2) and (1) with one map for each group.
template <Code T>
void quantize_groups(std::span<const float> x, const AxisView& view, std::size_t group,
                     std::span<const Affine> maps, std::span<T> q);
template <Code T>
void dequantize_groups(std::span<const T> q, const AxisView& view, std::size_t group,
                       std::span<const Affine> maps, std::span<float> x);

// int4 and uint4 as ONNX stores them: two codes a byte, element 2i in the low nibble, row-major
// over the whole tensor; an odd last byte has a zero high nibble.
// packed has (codes.size() + 1) / 2 bytes. Codes are taken modulo 16.
template <Code T>
void pack_nibbles(std::span<const T> codes, std::span<std::uint8_t> packed);
// The inverse: T = int8 sign-extends, T = uint8 does not.
template <Code T>
void unpack_nibbles(std::span<const std::uint8_t> packed, std::span<T> codes);

}  // namespace intact
