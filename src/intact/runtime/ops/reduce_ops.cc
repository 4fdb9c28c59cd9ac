// reduce_ops.cc: reductions, softmax and normalizations of float values.
//
// A reduction over any axes is brought to rows whose last axis is reduced: the axes that stay come
// first. When that is not how the memory lies, a strided copy makes it so; when exactly the leading
// axes of memory are reduced, reduce_first does it in place.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/codes_u8.h"
#include "kernels/exact_inverse.h"
#include "kernels/rows_f32.h"
#include "runtime/ops/cut.h"
#include "runtime/ops/strided.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// Rows per task such that a task is worth waking a thread for; kernels take four at a time.
std::int64_t rows_a_task(std::int64_t cols) {
  const std::int64_t rows = std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, cols));
  return rows < 4 ? rows : rows / 4 * 4;
}

template <class Fn>
void for_rows(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const Fn& fn) {
  const std::int64_t step = rows_a_task(cols);
  pool.run(static_cast<std::size_t>((rows + step - 1) / step), [&](std::size_t t) {
    const auto begin = static_cast<std::int64_t>(t) * step;
    fn(begin, std::min(rows, begin + step));
  });
}

Result<std::vector<bool>> reduced_axes(OpContext& c, int input_since) {
  const std::size_t rank = c.input(0).rank();
  std::vector<std::int64_t> axes = c.node().get_ints("axes");
  if (c.opset() >= input_since && c.has(1)) {
    INTACT_ASSIGN(axes, c.ints(1));
  }
  std::vector<bool> reduced(rank, false);
  if (axes.empty() && c.node().get_int("noop_with_empty_axes", 0) == 0) reduced.assign(rank, true);
  for (const std::int64_t axis : axes) {
    INTACT_ASSIGN(const int a, normalize_axis(axis, rank));
    reduced[static_cast<std::size_t>(a)] = true;
  }
  return reduced;
}

template <ReduceOp kOp, int kInputSince>
Status plan_reduce(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  INTACT_ASSIGN(const auto reduced, reduced_axes(c, kInputSince));
  const bool keep = c.node().get_int("keepdims", 1) != 0;
  Shape out;
  std::int64_t rows = 1, cols = 1;
  std::vector<std::int64_t> sizes, in_strides;
  const auto strides = x.strides();
  // The axes that stay, in memory order of the result, then those that go, in memory order.
  std::vector<std::size_t> order(x.rank());
  for (std::size_t axis = 0; axis < x.rank(); ++axis)
    order[static_cast<std::size_t>(x.memory_axis(static_cast<int>(axis)))] = axis;
  const bool keeps_layout = keep && x.layout == Layout::kChannelsLast;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    if (!reduced[axis])
      out.push_back(x.shape[axis]);
    else if (keep)
      out.push_back(1);
  }
  for (const bool going : {false, true})
    for (std::size_t m = 0; m < x.rank(); ++m) {
      const std::size_t axis = keeps_layout || going ? order[m] : m;
      if (reduced[axis] != going) continue;
      sizes.push_back(x.shape[axis]);
      in_strides.push_back(strides[axis]);
      (going ? cols : rows) *= x.shape[axis];
    }
  if (cols == 1 && kOp != ReduceOp::kSumSq && (keeps_layout || x.layout == Layout::kPlain))
    return c.view(0, 0, out, keeps_layout ? x.layout : Layout::kPlain);
  const Layout layout = keeps_layout ? Layout::kChannelsLast : Layout::kPlain;
  INTACT_TRY(c.output(0, x.dtype, out, layout));
  const auto dense = row_major_strides(sizes);
  const StridedCopy gather(sizes, in_strides, dense,
                           static_cast<std::size_t>(bits_of(x.dtype) / 8));
  bool in_place = true;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    in_place &= sizes[i] == 1 || dense[i] == in_strides[i];
  if (x.dtype == Dtype::kInt64 || x.dtype == Dtype::kInt32) {
    c.scratch(bytes_of(x.dtype, x.size()));
    const auto run = [&]<class T>(T) {
      c.run([=](const StepArgs& args) {
        gather.run(args.in[0], args.scratch, args.pool);
        const T* v = reinterpret_cast<const T*>(args.scratch);
        for (std::int64_t r = 0; r < rows; ++r) {
          T y = kOp == ReduceOp::kMax    ? std::numeric_limits<T>::lowest()
                : kOp == ReduceOp::kMin  ? std::numeric_limits<T>::max()
                : kOp == ReduceOp::kProd ? T{1}
                                         : T{0};
          for (std::int64_t i = 0; i < cols; ++i) {
            const T e = v[r * cols + i];
            if constexpr (kOp == ReduceOp::kMax)
              y = std::max(y, e);
            else if constexpr (kOp == ReduceOp::kMin)
              y = std::min(y, e);
            else if constexpr (kOp == ReduceOp::kProd)
              y = static_cast<T>(y * e);
            else if constexpr (kOp == ReduceOp::kSumSq)
              y = static_cast<T>(y + e * e);
            else
              y = static_cast<T>(y + e);
          }
          if (kOp == ReduceOp::kMean && cols > 0) y = static_cast<T>(y / static_cast<T>(cols));
          args.output<T>(0)[r] = y;
        }
      });
      return Status{};
    };
    return x.dtype == Dtype::kInt64 ? run(std::int64_t{}) : run(std::int32_t{});
  }
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const auto* kernel = &select_kernel<RowsF32Kernel>(isa);
  // Memory is [outer, reduced, inner] with one reduced run of axes: no copy, reduce_first each
  // outer.
  std::int64_t outer = 1, inner = 1;
  int state = 0;
  bool banded = true;
  for (const std::size_t axis : order) {
    const std::int64_t size = x.shape[axis];
    if (size == 1) continue;
    if (reduced[axis]) {
      banded &= state <= 1;
      state = 1;
    } else if (state == 0) {
      outer *= size;
    } else {
      state = 2;
      inner *= size;
    }
  }
  const bool result_in_memory_order = keeps_layout || x.layout == Layout::kPlain;
  if (banded && inner > 1 && result_in_memory_order) {
    c.run([=](const StepArgs& args) {
      args.pool.run(static_cast<std::size_t>(outer), [&](std::size_t o) {
        const auto i = static_cast<std::int64_t>(o);
        kernel->reduce_first({kOp, cols, inner, args.input<float>(0) + i * cols * inner, inner,
                              args.output<float>(0) + i * inner});
      });
    });
    return {};
  }
  if (!in_place) c.scratch(bytes_of(x.dtype, x.size()));
  c.run([=](const StepArgs& args) {
    const float* v = args.input<float>(0);
    if (!in_place) {
      gather.run(args.in[0], args.scratch, args.pool);
      v = reinterpret_cast<const float*>(args.scratch);
    }
    for_rows(args.pool, rows, cols, [&](std::int64_t begin, std::int64_t end) {
      kernel->reduce_last(
          {kOp, end - begin, cols, v + begin * cols, cols, args.output<float>(0) + begin});
    });
  });
  return {};
}

// Before opset 13 the axes from `axis` on are one; since, only `axis` itself.
Status plan_softmax(OpContext& c, bool log) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  const bool old = c.opset() < 13 && c.node().domain.empty();
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", old ? 1 : -1),
                                               std::max<std::size_t>(1, x.rank())));
  INTACT_CHECK(!old || x.layout == Layout::kPlain || axis == 1,
               "Softmax over several axes, channels last");
  INTACT_TRY(c.output(0, x.dtype, x.shape, x.layout));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const auto* kernel = &select_kernel<RowsF32Kernel>(isa);
  const Shape memory = x.memory_shape();
  const auto at = static_cast<std::size_t>(x.rank() == 0 ? 0 : x.memory_axis(axis));
  std::int64_t outer = num_elements(std::span(memory).first(at));
  std::int64_t n = x.rank() == 0 ? 1 : memory[at];
  std::int64_t inner = x.rank() == 0 ? 1 : num_elements(std::span(memory).subspan(at + 1));
  if (old && x.layout == Layout::kPlain) {
    n *= inner;
    inner = 1;
  }
  if (inner == 1) {
    c.run([=](const StepArgs& args) {
      for_rows(args.pool, outer, n, [&](std::int64_t begin, std::int64_t end) {
        kernel->softmax_last({end - begin, n, args.input<float>(0) + begin * n, n,
                              args.output<float>(0) + begin * n, n, log});
      });
    });
    return {};
  }
  constexpr std::int64_t kLineElements = 16;
  const Cut columns = Cut::of(inner, c.parts(outer), kLineElements);
  c.run([=](const StepArgs& args) {
    args.pool.run(static_cast<std::size_t>(outer * columns.parts), [&](std::size_t t) {
      const std::int64_t part = static_cast<std::int64_t>(t) % columns.parts;
      const std::int64_t i =
          static_cast<std::int64_t>(t) / columns.parts * n * inner + columns.begin(part);
      kernel->softmax_first({n, columns.end(part) - columns.begin(part), args.input<float>(0) + i,
                             inner, args.output<float>(0) + i, inner, log});
    });
  });
  return {};
}
Status plan_softmax_plain(OpContext& c) { return plan_softmax(c, false); }
Status plan_log_softmax(OpContext& c) { return plan_softmax(c, true); }

Status plan_layer_norm(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo& x = c.input(0);
  INTACT_CHECK(x.layout == Layout::kPlain, "LayerNormalization of a channels-last value");
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", -1), x.rank()));
  const auto split = static_cast<std::size_t>(axis);
  const std::int64_t rows = num_elements(std::span(x.shape).first(split));
  const std::int64_t cols = num_elements(std::span(x.shape).subspan(split));
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}})
    if (c.has(i) && (c.input(i).size() != cols || c.input(i).dtype != Dtype::kFloat32))
      return fail(ErrorCode::kUnsupported,
                  fmt::format("scale or bias {} of LayerNormalization over {} elements",
                              to_string(c.input(i).shape), cols));
  // Codes of the result beside it (passes/fuse_norm_codes).
  const bool to_codes = c.node().domain == "intact" && c.node().outputs.size() == 2;
  for (std::size_t i = 1; i < c.node().outputs.size() && !to_codes; ++i)
    if (c.node().outputs[i] != kNoValue)
      return fail(ErrorCode::kUnsupported,
                  "the mean and deviation of LayerNormalization as outputs");
  INTACT_TRY(c.output(0, x.dtype, x.shape));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  float code_scale = 1.0f, inverse = 0.0f;
  std::int32_t code_zero = 0;
  if (to_codes) {
    INTACT_TRY(c.output(1, Dtype::kUint8, x.shape));
    const Quant& map = *c.graph().value(c.node().outputs[1]).quant;
    code_scale = map.scale[0];
    code_zero = map.zero_point[0];
    inverse = exact_inverse(code_scale);
  }
  const bool has_factor = to_codes && c.has(3);
  const auto* codes = &select_kernel<CodesU8Kernel>(isa);
  const auto* kernel = &select_kernel<RowsF32Kernel>(isa);
  const float eps = c.node().get_float("epsilon", 1e-5f);
  const bool has_bias = c.has(2);
  c.run([=](const StepArgs& args) {
    for_rows(args.pool, rows, cols, [&](std::int64_t begin, std::int64_t end) {
      LayerNormF32Args a;
      a.rows = end - begin;
      a.cols = cols;
      a.x = args.input<float>(0) + begin * cols;
      a.x_stride = a.y_stride = cols;
      a.y = args.output<float>(0) + begin * cols;
      a.eps = eps;
      a.scale = args.input<float>(1);
      a.bias = has_bias ? args.input<float>(2) : nullptr;
      kernel->layer_norm(a);
      if (!to_codes) return;
      QuantParams params{&code_scale, &code_zero, false, 0, 255, inverse};
      if (has_factor) params.factor = args.input<float>(3);
      codes->quantize(a.y, a.rows, cols, params, args.output<std::uint8_t>(1) + begin * cols);
    });
  });
  return {};
}

// What passes/fold_batch_norm could not fold: y = (x - mean) / sqrt(var + eps) * scale + bias.
Status plan_batch_norm(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  const std::int64_t channels = x.rank() > 1 ? x.shape[1] : 1;
  for (std::size_t i = 1; i < 5; ++i) {
    INTACT_TRY(c.require(i, Dtype::kFloat32));
    if (c.input(i).size() != channels)
      return fail(ErrorCode::kInvalidModel, "BatchNormalization parameters do not fit");
  }
  INTACT_TRY(c.output(0, x.dtype, x.shape, x.layout));
  const float eps = c.node().get_float("epsilon", 1e-5f);
  const std::int64_t stride = x.rank() > 1 ? x.strides()[1] : 1;
  c.run([=, n = x.size()](const StepArgs& args) {
    std::vector<float> m(static_cast<std::size_t>(channels)), b(m);
    for (std::int64_t i = 0; i < channels; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double r =
          static_cast<double>(args.input<float>(1)[i]) /
          std::sqrt(static_cast<double>(args.input<float>(4)[i]) + static_cast<double>(eps));
      m[at] = static_cast<float>(r);
      b[at] = static_cast<float>(static_cast<double>(args.input<float>(2)[i]) -
                                 static_cast<double>(args.input<float>(3)[i]) * r);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i / stride % channels);
      const float scaled = args.input<float>(0)[i] * m[at];
      args.output<float>(0)[i] = scaled + b[at];
    }
  });
  return {};
}

template <bool kMax>
Status plan_arg(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", 0), x.rank()));
  const bool keep = c.node().get_int("keepdims", 1) != 0;
  const bool last = c.node().get_int("select_last_index", 0) != 0;
  const auto a = static_cast<std::size_t>(axis);
  INTACT_CHECK(x.layout == Layout::kPlain, "ArgMax of a channels-last value");
  Shape out = x.shape;
  if (keep)
    out[a] = 1;
  else
    out.erase(out.begin() + axis);
  INTACT_TRY(c.output(0, Dtype::kInt64, out));
  const std::int64_t outer = num_elements(std::span(x.shape).first(a)), n = x.shape[a];
  const std::int64_t inner = num_elements(std::span(x.shape).subspan(a + 1));
  c.run([=](const StepArgs& args) {
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t i = 0; i < inner; ++i) {
        const float* v = args.input<float>(0) + o * n * inner + i;
        std::int64_t best = 0;
        for (std::int64_t k = 1; k < n; ++k) {
          const float now = v[k * inner], then = v[best * inner];
          if (kMax ? now > then : now < then)
            best = k;
          else if (last && now == then)
            best = k;
        }
        args.output<std::int64_t>(0)[o * inner + i] = best;
      }
  });
  return {};
}

constexpr OpRow kRows[] = {
    {"", "ReduceMean", 1, plan_reduce<ReduceOp::kMean, 18>},
    {"", "ReduceSum", 1, plan_reduce<ReduceOp::kSum, 13>},
    {"", "ReduceMax", 1, plan_reduce<ReduceOp::kMax, 18>},
    {"", "ReduceMin", 1, plan_reduce<ReduceOp::kMin, 18>},
    {"", "ReduceProd", 1, plan_reduce<ReduceOp::kProd, 18>},
    {"", "ReduceSumSquare", 1, plan_reduce<ReduceOp::kSumSq, 18>},
    {"", "Softmax", 1, plan_softmax_plain},
    {"", "LogSoftmax", 1, plan_log_softmax},
    {"", "LayerNormalization", 17, plan_layer_norm},
    {"intact", "LayerNormalization", 1, plan_layer_norm},
    {"", "BatchNormalization", 1, plan_batch_norm},
    {"", "ArgMax", 1, plan_arg<true>},
    {"", "ArgMin", 1, plan_arg<false>},
};

}  // namespace

std::span<const OpRow> reduce_ops() { return kRows; }

}  // namespace intact
