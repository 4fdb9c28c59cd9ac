// shape_ops.cc: operators that look at shapes, or give the same bytes another shape.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/half.h"
#include "base/round.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// A value computed while planning, kept alive by the model's pack cache key-free: the planner
// copies the tensor, so a thread-local holder outlives the call.
Status leave(OpContext& c, Tensor tensor) {
  thread_local Tensor held;
  held = std::move(tensor);
  INTACT_TRY(c.output(0, held.dtype(), held.shape()));
  c.outputs_[0].constant = &held;
  return {};
}

// The memory of views must be row-major in the logical order.
Status require_plain(const OpContext& c, std::size_t i) {
  const ValueInfo& x = c.input(i);
  INTACT_CHECK(x.layout == Layout::kPlain, "node '{}' ({}) reads a channels-last value",
               c.node().name, c.node().op);
  return {};
}

Status plan_shape(OpContext& c) {
  INTACT_TRY(c.require(0));
  const Shape& shape = c.input(0).shape;
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto clip = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank);
  };
  const std::int64_t start = clip(c.node().get_int("start", 0));
  const std::int64_t end = std::max(start, clip(c.node().get_int("end", rank)));
  return leave(
      c, Tensor::of<std::int64_t>({end - start},
                                  std::span(shape).subspan(static_cast<std::size_t>(start),
                                                           static_cast<std::size_t>(end - start))));
}

Status plan_size(OpContext& c) {
  INTACT_TRY(c.require(0));
  return leave(c, Tensor::scalar<std::int64_t>(c.input(0).size()));
}

Status plan_constant(OpContext& c) {
  const Node& n = c.node();
  if (const Tensor* value = n.get_tensor("value")) return leave(c, *value);
  if (n.has("value_float")) return leave(c, Tensor::scalar(n.get_float("value_float", 0)));
  if (n.has("value_int")) return leave(c, Tensor::scalar(n.get_int("value_int", 0)));
  if (n.has("value_floats")) {
    const auto v = n.get_floats("value_floats");
    return leave(c, Tensor::of<float>({static_cast<std::int64_t>(v.size())}, std::span(v)));
  }
  if (n.has("value_ints")) {
    const auto v = n.get_ints("value_ints");
    return leave(c, Tensor::of<std::int64_t>({static_cast<std::int64_t>(v.size())}, std::span(v)));
  }
  return fail(ErrorCode::kUnsupported, "this form of Constant is not supported");
}

Status plan_reshape(OpContext& c) {
  INTACT_TRY(c.require(0));
  std::vector<std::int64_t> wanted = c.node().get_ints("shape");
  if (c.opset() >= 5) {
    INTACT_ASSIGN(wanted, c.ints(1));
  }
  const ValueInfo& x = c.input(0);
  const bool allow_zero = c.node().get_int("allowzero", 0) != 0;
  std::int64_t known = 1;
  int free_axis = -1;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0 && !allow_zero) {
      if (i >= x.rank())
        return fail(ErrorCode::kInvalidModel,
                    fmt::format("shape {} copies dimension {} of {}", to_string(wanted), i,
                                to_string(x.shape)));
      wanted[i] = x.shape[i];
    }
    if (wanted[i] == -1 && free_axis < 0)
      free_axis = static_cast<int>(i);
    else if (wanted[i] < 0)
      return fail(ErrorCode::kInvalidModel, fmt::format("impossible shape {}", to_string(wanted)));
    else if (wanted[i] != 0 && known > kMaxElements / wanted[i])
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("shape {} is too large", to_string(wanted)));
    else
      known *= wanted[i];
  }
  if (free_axis >= 0)
    wanted[static_cast<std::size_t>(free_axis)] = known == 0 ? 0 : x.size() / known;
  if (num_elements(wanted) != x.size())
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} cannot be reshaped to {}", to_string(x.shape), to_string(wanted)));
  if (x.layout == Layout::kPlain) return c.view(0, 0, wanted);
  // Spatial axes that merge or split among themselves do so behind or before the channels alike.
  INTACT_CHECK(wanted.size() >= 3 && wanted[0] == x.shape[0] && wanted[1] == x.shape[1],
               "node '{}' reshapes a channels-last {} to {}", c.node().name, to_string(x.shape),
               to_string(wanted));
  return c.view(0, 0, wanted, Layout::kChannelsLast);
}

Status plan_flatten(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(require_plain(c, 0));
  const Shape& s = c.input(0).shape;
  std::int64_t axis = c.node().get_int("axis", 1);
  if (axis < 0) axis += static_cast<std::int64_t>(s.size());
  if (axis < 0 || axis > static_cast<std::int64_t>(s.size()))
    return fail(ErrorCode::kInvalidModel, fmt::format("axis {} of Flatten is out of range", axis));
  const auto split = static_cast<std::size_t>(axis);
  return c.view(
      0, 0, {num_elements(std::span(s).first(split)), num_elements(std::span(s).subspan(split))});
}

Result<std::vector<std::int64_t>> axes_of(OpContext& c, int input_since) {
  if (c.opset() < input_since) return c.node().get_ints("axes");
  if (!c.has(1)) return std::vector<std::int64_t>{};
  return c.ints(1);
}

Status plan_squeeze(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(require_plain(c, 0));
  INTACT_ASSIGN(const auto axes, axes_of(c, 13));
  const Shape& s = c.input(0).shape;
  std::vector<bool> drop(s.size(), false);
  if (axes.empty())
    for (std::size_t i = 0; i < s.size(); ++i) drop[i] = s[i] == 1;
  for (const std::int64_t axis : axes) {
    INTACT_ASSIGN(const int a, normalize_axis(axis, s.size()));
    if (s[static_cast<std::size_t>(a)] != 1)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("cannot squeeze axis {} of {}", a, to_string(s)));
    drop[static_cast<std::size_t>(a)] = true;
  }
  Shape out;
  for (std::size_t i = 0; i < s.size(); ++i)
    if (!drop[i]) out.push_back(s[i]);
  return c.view(0, 0, std::move(out));
}

Status plan_unsqueeze(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(require_plain(c, 0));
  INTACT_ASSIGN(const auto axes, axes_of(c, 13));
  const Shape& s = c.input(0).shape;
  Shape out(s.size() + axes.size(), -1);
  for (const std::int64_t axis : axes) {
    INTACT_ASSIGN(const int a, normalize_axis(axis, out.size()));
    if (out[static_cast<std::size_t>(a)] == 1)
      return fail(ErrorCode::kInvalidModel, fmt::format("axis {} is given twice", a));
    out[static_cast<std::size_t>(a)] = 1;
  }
  std::size_t next = 0;
  for (std::int64_t& size : out)
    if (size < 0) size = s[next++];
  return c.view(0, 0, std::move(out));
}

Status plan_identity(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  for (std::size_t i = 1; i < c.node().outputs.size(); ++i) {
    if (c.node().out(i) == kNoValue) continue;  // Dropout's mask: everything is kept.
    INTACT_TRY(c.output(i, Dtype::kBool, x.shape, x.layout));
    c.run([n = x.size()](const StepArgs& args) {
      std::memset(args.out[1], 1, static_cast<std::size_t>(n));
    });
  }
  return c.view(0, 0, x.shape, x.layout);
}

template <class Out, class In>
Out cast_value(In x) {
  if constexpr (std::is_same_v<Out, bool>) {
    return x != In{0};
  } else if constexpr (std::is_floating_point_v<In> && std::is_integral_v<Out>) {
    // Out of range is undefined in ONNX; saturate, and NaN gives 0, on every machine.
    constexpr auto kLo = static_cast<double>(std::numeric_limits<Out>::lowest());
    constexpr auto kHi = static_cast<double>(std::numeric_limits<Out>::max());
    const auto d = static_cast<double>(x);
    return d != d     ? Out{0}
           : d <= kLo ? std::numeric_limits<Out>::lowest()
           : d >= kHi ? std::numeric_limits<Out>::max()
                      : static_cast<Out>(d);
  } else {
    return static_cast<Out>(x);
  }
}

// The storage types, with float16 and bfloat16 read and written through float.
struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};
inline float load(Half h) { return float_from_half(h.bits); }
inline float load(BFloat h) { return float_from_bfloat16(h.bits); }
template <class T>
T load(T x) {
  return x;
}
template <class Out, class In>
Out convert(In x) {
  if constexpr (std::is_same_v<Out, Half>)
    return Half{half_from_float(cast_value<float>(x))};
  else if constexpr (std::is_same_v<Out, BFloat>)
    return BFloat{bfloat16_from_float(cast_value<float>(x))};
  else
    return cast_value<Out>(x);
}

template <class Visitor>
bool visit_dtype(Dtype dtype, Visitor&& visit) {
  switch (dtype) {
    case Dtype::kFloat32:
      visit(float{});
      return true;
    case Dtype::kFloat64:
      visit(double{});
      return true;
    case Dtype::kInt8:
      visit(std::int8_t{});
      return true;
    case Dtype::kUint8:
      visit(std::uint8_t{});
      return true;
    case Dtype::kInt16:
      visit(std::int16_t{});
      return true;
    case Dtype::kUint16:
      visit(std::uint16_t{});
      return true;
    case Dtype::kInt32:
      visit(std::int32_t{});
      return true;
    case Dtype::kUint32:
      visit(std::uint32_t{});
      return true;
    case Dtype::kInt64:
      visit(std::int64_t{});
      return true;
    case Dtype::kUint64:
      visit(std::uint64_t{});
      return true;
    case Dtype::kBool:
      visit(bool{});
      return true;
    case Dtype::kFloat16:
      visit(Half{});
      return true;
    case Dtype::kBFloat16:
      visit(BFloat{});
      return true;
    default:
      return false;
  }
}

Status plan_cast_to(OpContext& c, Dtype to) {
  const ValueInfo x = c.input(0);
  if (to == x.dtype) return c.view(0, 0, x.shape, x.layout);
  INTACT_TRY(c.output(0, to, x.shape, x.layout));
  StepFn fn;
  const bool known = visit_dtype(x.dtype, [&](auto in) {
    using In = decltype(in);
    visit_dtype(to, [&](auto out) {
      using Out = decltype(out);
      fn = [n = x.size()](const StepArgs& args) {
        const In* from = args.input<In>(0);
        Out* result = args.output<Out>(0);
        for (std::int64_t i = 0; i < n; ++i) result[i] = convert<Out>(load(from[i]));
      };
    });
  });
  if (!known || !fn)
    return fail(ErrorCode::kUnsupported,
                fmt::format("a cast from {} to {}", name_of(x.dtype), name_of(to)));
  c.run(std::move(fn));
  return {};
}

Status plan_cast(OpContext& c) {
  INTACT_TRY(c.require(0));
  return plan_cast_to(c, static_cast<Dtype>(c.node().get_int("to", 0)));
}

Status plan_cast_like(OpContext& c) {
  INTACT_TRY(c.require(1));
  return plan_cast_to(c, c.input(1).dtype);
}

Status plan_constant_of_shape(OpContext& c) {
  INTACT_ASSIGN(const auto shape, c.ints(0));
  const Tensor* given = c.node().get_tensor("value");
  const Tensor value = given != nullptr ? *given : Tensor::scalar(0.0f);
  INTACT_TRY(c.output(0, value.dtype(), shape));
  const auto width = static_cast<std::size_t>(bits_of(value.dtype()) / 8);
  if (width == 0) return fail(ErrorCode::kUnsupported, "ConstantOfShape of a packed type");
  c.run([value, width, n = num_elements(shape)](const StepArgs& args) {
    for (std::int64_t i = 0; i < n; ++i)
      std::memcpy(args.out[0] + static_cast<std::size_t>(i) * width, value.raw(), width);
  });
  return {};
}

Status plan_range(OpContext& c) {
  INTACT_ASSIGN(const auto start, c.reals(0));
  INTACT_ASSIGN(const auto limit, c.reals(1));
  INTACT_ASSIGN(const auto delta, c.reals(2));
  if (delta.empty() || delta[0] == 0) return fail(ErrorCode::kInvalidModel, "Range with delta 0");
  const double count = std::ceil((limit[0] - start[0]) / delta[0]);
  if (!(count < static_cast<double>(kMaxElements)))
    return fail(ErrorCode::kInvalidModel, "Range is too long");
  const auto n = static_cast<std::int64_t>(std::max(0.0, count));
  INTACT_TRY(c.output(0, c.input(0).dtype, {n}));
  StepFn fn;
  visit_dtype(c.input(0).dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_arithmetic_v<T>)
      fn = [n](const StepArgs& args) {
        const T a = *args.input<T>(0);
        const T d = *args.input<T>(2);
        for (std::int64_t i = 0; i < n; ++i)
          args.output<T>(0)[i] = static_cast<T>(a + static_cast<T>(static_cast<T>(i) * d));
      };
  });
  if (!fn) return fail(ErrorCode::kUnsupported, "Range of this type");
  c.run(std::move(fn));
  return {};
}

// intact.ViewPlain: a channels-last value read as the plain value that a Transpose would give.
Status plan_view_plain(OpContext& c) {
  INTACT_TRY(c.require(0));
  return c.view(0, 0, c.input(0).memory_shape());
}

// intact.ViewChannelsLast: a plain value read as the channels-last value that a Transpose would
// give.
Status plan_view_channels_last(OpContext& c) {
  INTACT_TRY(c.require(0));
  Shape logical = c.input(0).shape;
  std::rotate(logical.begin() + 1, logical.end() - 1, logical.end());
  return c.view(0, 0, logical, Layout::kChannelsLast);
}

constexpr OpRow kRows[] = {
    {"", "Shape", 1, plan_shape},
    {"", "Size", 1, plan_size},
    {"", "Constant", 1, plan_constant},
    {"", "Reshape", 1, plan_reshape},
    {"", "Flatten", 1, plan_flatten},
    {"", "Squeeze", 1, plan_squeeze},
    {"", "Unsqueeze", 1, plan_unsqueeze},
    {"", "Identity", 1, plan_identity},
    {"", "Dropout", 1, plan_identity},
    {"", "Cast", 6, plan_cast},
    {"", "CastLike", 15, plan_cast_like},
    {"", "ConstantOfShape", 9, plan_constant_of_shape},
    {"", "Range", 11, plan_range},
    {"intact", "ViewPlain", 1, plan_view_plain},
    {"intact", "ViewChannelsLast", 1, plan_view_channels_last},
};

}  // namespace

std::span<const OpRow> shape_ops() { return kRows; }

}  // namespace intact
