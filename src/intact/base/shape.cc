#include "base/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace intact {

std::int64_t num_elements(std::span<const std::int64_t> shape) noexcept {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

Status check_shape(std::span<const std::int64_t> shape) {
  if (shape.size() > kMaxRank)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("a tensor has {} dimensions; the limit is {}", shape.size(), kMaxRank));
  // Products of some of the sizes, strides among them, must not overflow either: a size of zero
  // does not excuse the others.
  std::int64_t n = 1;
  for (const std::int64_t size : shape) {
    if (size < 0)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("shape {} has a negative dimension", to_string(shape)));
    if (size > kMaxElements / n)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("shape {} has more than 2^40 elements", to_string(shape)));
    n *= std::max<std::int64_t>(size, 1);
  }
  return {};
}

std::string to_string(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ","));
}

std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Result<Shape> broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  if (a.size() < b.size()) std::swap(a, b);
  Shape out(a.begin(), a.end());
  const std::size_t lead = a.size() - b.size();
  for (std::size_t i = 0; i < b.size(); ++i) {
    std::int64_t& size = out[lead + i];
    if (size == b[i] || b[i] == 1) continue;
    if (size != 1)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("shapes {} and {} do not broadcast", to_string(a), to_string(b)));
    size = b[i];
  }
  return out;
}

Result<int> normalize_axis(std::int64_t axis, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  if (axis < -r || axis >= r)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("axis {} is outside [{}, {}) of a rank-{} tensor", axis, -r, r, r));
  return static_cast<int>(axis < 0 ? axis + r : axis);
}

}  // namespace intact
