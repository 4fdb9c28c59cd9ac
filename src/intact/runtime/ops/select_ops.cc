// select_ops.cc: operators whose result is as long as their data says.
//
// They ask for the elements of the input that decides (OpContext::known), so a run reads it before
// they are planned, and here the result's size is a fact like any other.

#include <algorithm>
#include <cstring>

#include "runtime/ops/tables.h"

namespace intact {
namespace {

// The flat indices of elements that are not zero; NaN is not.
std::vector<std::int64_t> indices_of_nonzero(const Tensor& t) {
  std::vector<std::int64_t> indices;
  const std::vector<double> values = to_float64(t);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != 0) indices.push_back(static_cast<std::int64_t>(i));
  return indices;
}

// Output [rank, n]: column j holds the coordinates of the j-th element that is not zero.
Status plan_non_zero(OpContext& c) {
  INTACT_ASSIGN(const Tensor* x, c.known(0));
  auto found = indices_of_nonzero(*x);
  const auto n = static_cast<std::int64_t>(found.size());
  const Shape strides = row_major_strides(x->shape());
  INTACT_TRY(c.output(0, Dtype::kInt64, {static_cast<std::int64_t>(x->rank()), n}));
  c.run([found = std::move(found), strides, shape = x->shape()](const StepArgs& args) {
    auto* out = args.output<std::int64_t>(0);
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
      for (const std::int64_t index : found) *out++ = index / strides[axis] % shape[axis];
  });
  return {};
}

// The slices along `axis` (of the flattened input without one) where the condition holds.
Status plan_compress(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_ASSIGN(const Tensor* condition, c.known(1));
  const ValueInfo& x = c.input(0);
  const bool flat = !c.node().has("axis");
  Shape shape = flat ? Shape{x.size()} : x.shape;
  std::int64_t axis = c.node().get_int("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  if (axis < 0 || axis >= static_cast<std::int64_t>(shape.size()))
    return fail(ErrorCode::kInvalidModel, "an axis outside the input's rank");
  const auto at = static_cast<std::size_t>(axis);
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (std::size_t i = 0; i < at; ++i) outer *= shape[i];
  for (std::size_t i = at + 1; i < shape.size(); ++i) inner *= shape[i];
  auto picked = indices_of_nonzero(*condition);
  if (!picked.empty() && picked.back() >= shape[at])
    return fail(ErrorCode::kDataMismatch, "a condition longer than its axis");
  const auto width = static_cast<std::size_t>(bits_of(x.dtype) / 8);
  if (width == 0) return fail(ErrorCode::kUnsupported, "Compress of this type");
  const std::int64_t extent = shape[at];
  shape[at] = static_cast<std::int64_t>(picked.size());
  INTACT_TRY(c.output(0, x.dtype, std::move(shape)));
  const std::size_t bytes = static_cast<std::size_t>(inner) * width;
  c.run([=, picked = std::move(picked)](const StepArgs& args) {
    std::byte* out = args.out[0];
    for (std::int64_t o = 0; o < outer; ++o)
      for (const std::int64_t i : picked) {
        std::memcpy(out, args.in[0] + static_cast<std::size_t>(o * extent + i) * bytes, bytes);
        out += bytes;
      }
  });
  return {};
}

constexpr OpRow kRows[] = {
    {"", "NonZero", 9, plan_non_zero},
    {"", "Compress", 9, plan_compress},
};

}  // namespace

std::span<const OpRow> select_ops() { return kRows; }

}  // namespace intact
