// elementwise_ops.cc: binary, comparison, logical and selection operators with broadcasting.
// Unary functions: unary_ops.cc.

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/elementwise_f32.h"
#include "runtime/ops/broadcast.h"
#include "runtime/ops/extents.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// Plans fn(a, b) for operands of type T and a result of type Out.
template <class T, class Out, class Fn>
Status plan_typed(OpContext& c, const Broadcast<2>& loops, Fn fn) {
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [loops, fn](const StepArgs& args, const ElementPiece& part) {
    const T* a = args.input<T>(0);
    const T* b = args.input<T>(1);
    Out* y = args.output<Out>(0);
    loops.run(part.begin, part.end,
              [&](std::int64_t at, const std::array<std::int64_t, 2>& from, std::int64_t count,
                  const std::array<std::int64_t, 2>& stride) {
                const T* pa = a + from[0];
                const T* pb = b + from[1];
                Out* py = y + at;
                if (stride[0] == 1 && stride[1] == 1) {
                  for (std::int64_t i = 0; i < count; ++i) py[i] = fn(pa[i], pb[i]);
                } else if (stride[0] == 1 && stride[1] == 0) {
                  const T vb = *pb;
                  for (std::int64_t i = 0; i < count; ++i) py[i] = fn(pa[i], vb);
                } else if (stride[0] == 0 && stride[1] == 1) {
                  const T va = *pa;
                  for (std::int64_t i = 0; i < count; ++i) py[i] = fn(va, pb[i]);
                } else {
                  for (std::int64_t i = 0; i < count; ++i)
                    py[i] = fn(pa[i * stride[0]], pb[i * stride[1]]);
                }
              });
  });
  return {};
}

struct Operands {
  Broadcast<2> loops;
  Dtype dtype;
};

Result<Operands> binary_operands(OpContext& c, Dtype result) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1, c.input(0).dtype));
  auto shape = broadcast(c.input(0).shape, c.input(1).shape);
  if (!shape) return fail(shape.error());
  const Dtype dtype = c.input(0).dtype;
  const Layout layout = result_layout(c, shape->size());
  INTACT_TRY(c.output(0, result == Dtype::kUndefined ? dtype : result, *shape, layout));
  return Operands{Broadcast<2>(c.outputs_[0], {&c.input(0), &c.input(1)}), dtype};
}

Status unsupported_type(Dtype dtype) {
  return fail(ErrorCode::kUnsupported, fmt::format("operands of type {}", name_of(dtype)));
}

// Integer arithmetic wraps, as ONNX Runtime and NumPy do; on unsigned it cannot overflow in C++.
template <class T>
auto wrapping(T x) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<std::make_unsigned_t<T>>(x);
  else
    return x;
}

struct AddFn {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(wrapping(a) + wrapping(b));
  }
};
struct SubFn {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(wrapping(a) - wrapping(b));
  }
};
struct MulFn {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
    else
      return a * b;
  }
};
struct DivFn {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == T{0}) return T{0};
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return static_cast<T>(T{0} - wrapping(a));
      return static_cast<T>(a / b);
    } else {
      return a / b;
    }
  }
};
// NaN in either operand gives NaN, as ONNX says of Min and Max.
struct MinFn {
  template <class T>
  T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : b < a ? b : a;
  }
};
struct MaxFn {
  template <class T>
  T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : a < b ? b : a;
  }
};
struct ModFn {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == T{0}) return T{0};
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return T{0};
      const T r = static_cast<T>(a % b);
      return r != 0 && ((r < 0) != (b < 0)) ? static_cast<T>(r + b) : r;
    } else {
      return std::fmod(a, b);  // Exact, so the same everywhere.
    }
  }
};

// Float arithmetic goes through the kernels, which also fix the bits of NaN.
Status plan_float(OpContext& c, const Broadcast<2>& loops, BinaryOp op) {
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const auto* kernel = &select_kernel<ElementwiseF32Kernel>(isa);
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [loops, op, kernel](const StepArgs& args, const ElementPiece& part) {
    loops.run(part.begin, part.end,
              [&](std::int64_t at, const std::array<std::int64_t, 2>& from, std::int64_t count,
                  const std::array<std::int64_t, 2>& stride) {
                BinaryF32Args b;
                b.op = op;
                b.a = args.input<float>(0) + from[0];
                b.b = args.input<float>(1) + from[1];
                b.y = args.output<float>(0) + at;
                if ((stride[0] == 0 || stride[0] == 1) && (stride[1] == 0 || stride[1] == 1)) {
                  b.cols = count;
                  b.a_col = stride[0];
                  b.b_col = stride[1];
                } else {
                  b.rows = count;
                  b.cols = 1;
                  b.a_row = stride[0];
                  b.b_row = stride[1];
                  b.y_row = 1;
                }
                kernel->binary(b);
              });
  });
  return {};
}

template <BinaryOp kOp>
Status plan_float_only(OpContext& c) {
  INTACT_ASSIGN(const auto operands, binary_operands(c, Dtype::kUndefined));
  if (operands.dtype != Dtype::kFloat32) return unsupported_type(operands.dtype);
  return plan_float(c, operands.loops, kOp);
}

template <class Fn, BinaryOp kFloat>
Status plan_arithmetic(OpContext& c) {
  INTACT_ASSIGN(const auto operands, binary_operands(c, Dtype::kUndefined));
  switch (operands.dtype) {
    case Dtype::kFloat32:
      return plan_float(c, operands.loops, kFloat);
    case Dtype::kFloat64:
      return plan_typed<double, double>(c, operands.loops, Fn());
    case Dtype::kInt64:
      return plan_typed<std::int64_t, std::int64_t>(c, operands.loops, Fn());
    case Dtype::kInt32:
      return plan_typed<std::int32_t, std::int32_t>(c, operands.loops, Fn());
    case Dtype::kUint8:
      return plan_typed<std::uint8_t, std::uint8_t>(c, operands.loops, Fn());
    case Dtype::kInt8:
      return plan_typed<std::int8_t, std::int8_t>(c, operands.loops, Fn());
    default:
      return unsupported_type(operands.dtype);
  }
}

Status plan_mod(OpContext& c) {
  INTACT_ASSIGN(const auto operands, binary_operands(c, Dtype::kUndefined));
  switch (operands.dtype) {
    case Dtype::kFloat32:
      return plan_typed<float, float>(c, operands.loops, ModFn());
    case Dtype::kInt64:
      return plan_typed<std::int64_t, std::int64_t>(c, operands.loops, ModFn());
    case Dtype::kInt32:
      return plan_typed<std::int32_t, std::int32_t>(c, operands.loops, ModFn());
    default:
      return unsupported_type(operands.dtype);
  }
}

struct EqualFn {
  template <class T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct LessFn {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessEqualFn {
  template <class T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct GreaterFn {
  template <class T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterEqualFn {
  template <class T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};

template <class Fn>
Status plan_comparison(OpContext& c) {
  INTACT_ASSIGN(const auto operands, binary_operands(c, Dtype::kBool));
  switch (operands.dtype) {
    case Dtype::kFloat32:
      return plan_typed<float, bool>(c, operands.loops, Fn());
    case Dtype::kFloat64:
      return plan_typed<double, bool>(c, operands.loops, Fn());
    case Dtype::kInt64:
      return plan_typed<std::int64_t, bool>(c, operands.loops, Fn());
    case Dtype::kInt32:
      return plan_typed<std::int32_t, bool>(c, operands.loops, Fn());
    case Dtype::kUint8:
      return plan_typed<std::uint8_t, bool>(c, operands.loops, Fn());
    case Dtype::kBool:
      return plan_typed<bool, bool>(c, operands.loops, Fn());
    default:
      return unsupported_type(operands.dtype);
  }
}

struct AndFn {
  bool operator()(bool a, bool b) const { return a && b; }
};
struct OrFn {
  bool operator()(bool a, bool b) const { return a || b; }
};
struct XorFn {
  bool operator()(bool a, bool b) const { return a != b; }
};

template <class Fn>
Status plan_logical(OpContext& c) {
  INTACT_ASSIGN(const auto operands, binary_operands(c, Dtype::kBool));
  if (operands.dtype != Dtype::kBool) return unsupported_type(operands.dtype);
  return plan_typed<bool, bool>(c, operands.loops, Fn());
}

Status plan_not(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kBool));
  const ValueInfo x = c.input(0);
  INTACT_TRY(c.output(0, Dtype::kBool, x.shape, x.layout));
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [](const StepArgs& args, const ElementPiece& part) {
    for (std::int64_t i = part.begin; i < part.end; ++i)
      args.output<bool>(0)[i] = !args.input<bool>(0)[i];
  });
  return {};
}

// Min and Max of any number of operands: one fold per further operand, in order.
template <class Fn, BinaryOp kFloat>
Status plan_fold(OpContext& c) {
  if (c.input_count() == 2) return plan_arithmetic<Fn, kFloat>(c);
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  if (c.input_count() == 1) return c.view(0, 0, c.input(0).shape, c.input(0).layout);
  Shape shape = c.input(0).shape;
  for (std::size_t i = 1; i < c.input_count(); ++i) {
    INTACT_TRY(c.require(i, Dtype::kFloat32));
    INTACT_ASSIGN(shape, broadcast(shape, c.input(i).shape));
  }
  INTACT_TRY(c.output(0, Dtype::kFloat32, shape, result_layout(c, shape.size())));
  std::vector<Broadcast<1>> loops;
  for (std::size_t i = 0; i < c.input_count(); ++i)
    loops.emplace_back(c.outputs_[0], std::array<const ValueInfo*, 1>{&c.input(i)});
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [loops](const StepArgs& args, const ElementPiece& part) {
    float* y = args.output<float>(0);
    for (std::size_t k = 0; k < loops.size(); ++k) {
      const float* x = args.input<float>(k);
      loops[k].run(part.begin, part.end,
                   [&](std::int64_t at, const std::array<std::int64_t, 1>& from, std::int64_t count,
                       const std::array<std::int64_t, 1>& stride) {
                     for (std::int64_t i = 0; i < count; ++i) {
                       const float v = x[from[0] + i * stride[0]];
                       y[at + i] = k == 0 ? v : Fn()(y[at + i], v);
                     }
                   });
    }
  });
  return {};
}

template <class T>
Status plan_where_typed(OpContext& c) {
  const Broadcast<3> loops(c.outputs_[0], {&c.input(0), &c.input(1), &c.input(2)});
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [loops](const StepArgs& args, const ElementPiece& part) {
    const bool* condition = args.input<bool>(0);
    const T* a = args.input<T>(1);
    const T* b = args.input<T>(2);
    T* y = args.output<T>(0);
    loops.run(part.begin, part.end,
              [&](std::int64_t at, const std::array<std::int64_t, 3>& from, std::int64_t count,
                  const std::array<std::int64_t, 3>& stride) {
                for (std::int64_t i = 0; i < count; ++i)
                  y[at + i] = condition[from[0] + i * stride[0]] ? a[from[1] + i * stride[1]]
                                                                 : b[from[2] + i * stride[2]];
              });
  });
  return {};
}

Status plan_where(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kBool));
  INTACT_TRY(c.require(1));
  INTACT_TRY(c.require(2, c.input(1).dtype));
  INTACT_ASSIGN(Shape shape, broadcast(c.input(0).shape, c.input(1).shape));
  INTACT_ASSIGN(shape, broadcast(shape, c.input(2).shape));
  INTACT_TRY(c.output(0, c.input(1).dtype, shape, result_layout(c, shape.size())));
  switch (bits_of(c.input(1).dtype)) {
    case 8:
      return plan_where_typed<std::uint8_t>(c);
    case 16:
      return plan_where_typed<std::uint16_t>(c);
    case 32:
      return plan_where_typed<std::uint32_t>(c);
    case 64:
      return plan_where_typed<std::uint64_t>(c);
    default:
      return unsupported_type(c.input(1).dtype);
  }
}

constexpr OpRow kRows[] = {
    {"", "Add", 7, plan_arithmetic<AddFn, BinaryOp::kAdd>},
    {"", "Sub", 7, plan_arithmetic<SubFn, BinaryOp::kSub>},
    {"", "Mul", 7, plan_arithmetic<MulFn, BinaryOp::kMul>},
    {"", "Div", 7, plan_arithmetic<DivFn, BinaryOp::kDiv>},
    {"", "Pow", 7, plan_float_only<BinaryOp::kPow>},
    {"", "Mod", 10, plan_mod},
    {"", "Min", 8, plan_fold<MinFn, BinaryOp::kMin>},
    {"", "Max", 8, plan_fold<MaxFn, BinaryOp::kMax>},
    {"", "PRelu", 7, plan_float_only<BinaryOp::kPrelu>},
    {"", "Equal", 7, plan_comparison<EqualFn>},
    {"", "Less", 7, plan_comparison<LessFn>},
    {"", "LessOrEqual", 12, plan_comparison<LessEqualFn>},
    {"", "Greater", 7, plan_comparison<GreaterFn>},
    {"", "GreaterOrEqual", 12, plan_comparison<GreaterEqualFn>},
    {"", "And", 7, plan_logical<AndFn>},
    {"", "Or", 7, plan_logical<OrFn>},
    {"", "Xor", 7, plan_logical<XorFn>},
    {"", "Not", 1, plan_not},
    {"", "Where", 9, plan_where},
};

}  // namespace

std::span<const OpRow> elementwise_ops() { return kRows; }

}  // namespace intact
