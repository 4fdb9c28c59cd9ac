// matmul_ops.cc: float products: MatMul, Gemm, and intact.Linear(x, w[K, N], bias?).

#include <fmt/format.h>

#include <algorithm>

#include "base/align.h"
#include "kernels/gemm_bf16.h"
#include "runtime/ops/batches.h"
#include "runtime/ops/float_epilogue.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// y = act(clamp(x w + bias + residual)) with constant w [K, N] (or transposed), x [..., K].
Status plan_constant_right(OpContext& c, const Tensor& w, bool transposed,
                           std::span<const float> bias, Shape out_shape, std::int64_t rows) {
  const std::int64_t k = transposed ? w.shape()[1] : w.shape()[0];
  const std::int64_t n = transposed ? w.shape()[0] : w.shape()[1];
  const bool codes = c.graph().value(c.node().outputs[0]).quant.has_value();
  INTACT_TRY(c.output(0, codes ? Dtype::kUint8 : Dtype::kFloat32, std::move(out_shape)));
  INTACT_ASSIGN(const FloatEpilogue e, read_float_epilogue(c, c.outputs_[0]));
  const bool fast = is_fast(c);
  const auto pack = [&]() {
    const Tensor aligned = w.aligned();
    const float* from = aligned.values<float>().data();
    const GemmF32Source source =
        transposed ? GemmF32Source{from, 0, 1, k} : GemmF32Source{from, 0, n, 1};
    return pack_float_gemm({n, 1, k}, source, bias, fast);
  };
  INTACT_ASSIGN(const auto packed, c.packed<PackedFloatGemm>(fast ? "gemm.bf16" : "gemm", pack));
  c.needs_not(1);
  const ProductCut cut = cut_float_gemm(c, *packed->kernel, rows, packed->shape, c.parts());
  // Rows that are worked on again stay in the second-level cache until then.
  constexpr std::int64_t kStripRows = 192;
  const std::int64_t strip_rows = std::clamp<std::int64_t>(cut.rows.largest(), 1, kStripRows);
  const std::size_t strip =
      e.codes_out ? align_up(static_cast<std::size_t>(strip_rows * n) * sizeof(float)) : 0;
  // Behind the strips, the rows of x as pairs.
  const std::size_t strips = strip * static_cast<std::size_t>(c.threads());
  const std::int64_t x_stride = packed->shape.k_per_tap;
  c.scratch(strips +
            (fast ? align_up(static_cast<std::size_t>(rows * x_stride) * sizeof(float)) : 0));
  const Cut rounding = Cut::of(rows, c.parts());
  c.run([=](const StepArgs& args) {
    const float* x = args.input<float>(0);
    if (fast) {
      auto* pairs = reinterpret_cast<float*>(args.scratch + strips);
      args.pool.run(static_cast<std::size_t>(rounding.parts), [&](std::size_t t) {
        const std::int64_t begin = rounding.begin(static_cast<std::int64_t>(t));
        const std::int64_t end = rounding.end(static_cast<std::int64_t>(t));
        gemm_bf16()->round(x + begin * k, end - begin, k, pairs + begin * x_stride);
      });
      x = pairs;
    }
    const auto run_strip = [&](std::int64_t begin, std::int64_t end, std::int64_t panel_part) {
      float* y = e.codes_out ? reinterpret_cast<float*>(args.scratch + ThreadPool::worker() * strip)
                             : args.output<float>(0) + begin * n;
      GemmF32Args a;
      a.shape = packed->shape;
      a.a = x;
      a.a_stride = x_stride;
      a.packed = reinterpret_cast<const float*>(packed->packed->data());
      a.out = y - begin * n;
      a.out_stride = n;
      a.epilogue.bias = packed->bias.data();
      a.epilogue.lo = e.lo;
      a.epilogue.hi = e.hi;
      if (e.residual_input >= 0) {
        a.epilogue.residual = args.input<float>(static_cast<std::size_t>(e.residual_input));
        a.epilogue.residual_stride = n;
      }
      a.row_begin = begin;
      a.row_end = end;
      a.panel_begin = cut.panels.begin(panel_part);
      a.panel_end = cut.panels.end(panel_part);
      packed->kernel->run(a);
      const std::int64_t first = a.panel_begin * kPanelCols;
      const std::int64_t cols = std::min(n, a.panel_end * kPanelCols) - first;
      e.chain.run({y + first, n, a.row_end - begin, cols, begin * n + first, n, 0, first}, args);
      if (e.codes_out)
        Chain::store_codes(e.chain.codes_kernel(), e.code, y + first, n, a.row_end - begin, cols,
                           args.output<std::uint8_t>(0) + begin * n + first, n);
    };
    args.pool.run(static_cast<std::size_t>(cut.tasks()), [&](std::size_t t) {
      const auto task = static_cast<std::int64_t>(t);
      const std::int64_t end = cut.rows.end(cut.row_part(task));
      std::int64_t row = cut.rows.begin(cut.row_part(task));
      for (; row < end; row += strip_rows)
        run_strip(row, std::min(end, row + strip_rows), cut.panel_part(task));
    });
  });
  return {};
}

Status mismatch(const ValueInfo& a, const ValueInfo& b) {
  return fail(ErrorCode::kInvalidModel,
              fmt::format("{} times {}", to_string(a.shape), to_string(b.shape)));
}

Status plan_linear(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo& x = c.input(0);
  const Tensor* w = c.input(1).constant;
  INTACT_CHECK(w != nullptr, "node '{}': Linear without constant weights", c.node().name);
  if (w->rank() != 2 || x.rank() < 1 || x.shape.back() != w->shape()[0])
    return mismatch(x, c.input(1));
  INTACT_ASSIGN(const auto bias, read_float_bias(c, 2, w->shape()[1]));
  Shape out = x.shape;
  out.back() = w->shape()[1];
  const std::int64_t rows = num_elements(std::span(x.shape).first(x.rank() - 1));
  return plan_constant_right(c, *w, false, bias, std::move(out), rows);
}

Status plan_matmul(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo a = c.input(0);
  const ValueInfo b = c.input(1);
  INTACT_TRY(c.require(1, a.dtype));
  INTACT_ASSIGN(const BatchedProduct p, read_batches(a, b));
  Shape out = p.shape;
  const std::int64_t batch = p.count();
  if (a.dtype == Dtype::kFloat32 && b.constant != nullptr && b.rank() == 2) {
    return plan_constant_right(c, *b.constant, false, {}, std::move(out),
                               a.size() / std::max<std::int64_t>(1, p.k));
  }
  if (a.dtype != Dtype::kFloat32) {
    // Integer and double products are rare: three loops.
    INTACT_TRY(c.output(0, a.dtype, out));
    const auto run = [&]<class T>(T) {
      c.run([p, batch](const StepArgs& args) {
        for (std::int64_t i = 0; i < batch; ++i) {
          const T* x = args.input<T>(0) + p.a_offset[static_cast<std::size_t>(i)];
          const T* y = args.input<T>(1) + p.b_offset[static_cast<std::size_t>(i)];
          T* z = args.output<T>(0) + i * p.m * p.n;
          for (std::int64_t r = 0; r < p.m; ++r)
            for (std::int64_t col = 0; col < p.n; ++col) {
              T sum = 0;
              for (std::int64_t k = 0; k < p.k; ++k)
                sum = static_cast<T>(sum + x[r * p.k + k] * y[k * p.n + col]);
              z[r * p.n + col] = sum;
            }
        }
      });
      return Status{};
    };
    if (a.dtype == Dtype::kFloat64) return run(double{});
    if (a.dtype == Dtype::kInt32) return run(std::int32_t{});
    if (a.dtype == Dtype::kInt64) return run(std::int64_t{});
    return fail(ErrorCode::kUnsupported, fmt::format("MatMul of {}", name_of(a.dtype)));
  }
  INTACT_TRY(c.output(0, Dtype::kFloat32, out));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const GemmF32Kernel* kernel = &select_kernel<GemmF32Kernel>(isa);
  const GemmShape shape{p.n, 1, p.k};
  const std::size_t packed_bytes =
      align_up(static_cast<std::size_t>(packed_elems_f32(shape)) * sizeof(float));
  const bool share_batches = batch >= c.threads();
  c.scratch(packed_bytes * static_cast<std::size_t>(share_batches ? c.threads() : 1));
  const ProductCut cut = cut_float_gemm(c, *kernel, p.m, shape, c.parts(batch));
  c.run([=](const StepArgs& args) {
    const auto pack = [&](std::int64_t i, std::byte* to) {
      kernel->pack_b(shape,
                     {args.input<float>(1) + p.b_offset[static_cast<std::size_t>(i)], 0, p.n, 1}, 0,
                     panels_of(p.n), reinterpret_cast<float*>(to));
    };
    const auto run = [&](std::int64_t i, const std::byte* packed, std::int64_t row_begin,
                         std::int64_t row_end, std::int64_t panel_begin, std::int64_t panel_end) {
      GemmF32Args g;
      g.shape = shape;
      g.a = args.input<float>(0) + p.a_offset[static_cast<std::size_t>(i)];
      g.a_stride = p.k;
      g.packed = reinterpret_cast<const float*>(packed);
      g.out = args.output<float>(0) + i * p.m * p.n;
      g.out_stride = p.n;
      g.row_begin = row_begin;
      g.row_end = row_end;
      g.panel_begin = panel_begin;
      g.panel_end = panel_end;
      kernel->run(g);
    };
    if (share_batches) {
      args.pool.run(static_cast<std::size_t>(batch), [&](std::size_t i) {
        std::byte* own = args.scratch + ThreadPool::worker() * packed_bytes;
        pack(static_cast<std::int64_t>(i), own);
        run(static_cast<std::int64_t>(i), own, 0, p.m, 0, panels_of(p.n));
      });
      return;
    }
    for (std::int64_t i = 0; i < batch; ++i) {
      pack(i, args.scratch);
      args.pool.run(static_cast<std::size_t>(cut.tasks()), [&](std::size_t t) {
        const std::int64_t rows = cut.row_part(static_cast<std::int64_t>(t));
        const std::int64_t panels = cut.panel_part(static_cast<std::int64_t>(t));
        run(i, args.scratch, cut.rows.begin(rows), cut.rows.end(rows), cut.panels.begin(panels),
            cut.panels.end(panels));
      });
    }
  });
  return {};
}

// Gemm with anything that passes/fuse_linear did not normalize: y = alpha A' B' + beta C.
Status plan_gemm(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo& a = c.input(0);
  const ValueInfo& b = c.input(1);
  const bool ta = c.node().get_int("transA", 0) != 0;
  const bool tb = c.node().get_int("transB", 0) != 0;
  const float alpha = c.node().get_float("alpha", 1);
  const float beta = c.node().get_float("beta", 1);
  if (a.rank() != 2 || b.rank() != 2) return mismatch(a, b);
  const std::int64_t m = a.shape[ta ? 1 : 0], k = a.shape[ta ? 0 : 1];
  const std::int64_t n = b.shape[tb ? 0 : 1];
  if (b.shape[tb ? 1 : 0] != k) return mismatch(a, b);
  const Tensor* bias = c.has(2) ? c.input(2).constant : nullptr;
  if (!ta && alpha == 1 && b.constant != nullptr &&
      (!c.has(2) || (bias != nullptr && beta == 1 && bias->size() == n &&
                     bias->dtype() == Dtype::kFloat32 && bias->shape().back() == n)))
    return plan_constant_right(c, *b.constant, tb,
                               bias == nullptr ? std::span<const float>() : bias->values<float>(),
                               {m, n}, m);
  std::vector<std::int64_t> c_strides(2, 0);
  if (c.has(2)) {
    INTACT_TRY(c.require(2, Dtype::kFloat32));
    const Shape& s = c.input(2).shape;
    INTACT_ASSIGN(const Shape fits, broadcast(s, Shape{m, n}));
    if (fits != Shape{m, n}) return mismatch(a, b);
    const auto own = row_major_strides(s);
    for (std::size_t d = 0; d < s.size(); ++d)
      if (s[d] != 1) c_strides[2 - s.size() + d] = own[d];
  }
  INTACT_TRY(c.output(0, Dtype::kFloat32, {m, n}));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const GemmF32Kernel* kernel = &select_kernel<GemmF32Kernel>(isa);
  const GemmShape shape{n, 1, k};
  const std::size_t packed_bytes =
      align_up(static_cast<std::size_t>(packed_elems_f32(shape)) * sizeof(float));
  c.scratch(packed_bytes + align_up(static_cast<std::size_t>(m * k) * sizeof(float)));
  const bool has_c = c.has(2);
  c.run([=](const StepArgs& args) {
    kernel->pack_b(shape, {args.input<float>(1), 0, tb ? 1 : n, tb ? k : 1}, 0, panels_of(n),
                   reinterpret_cast<float*>(args.scratch));
    const float* left = args.input<float>(0);
    auto* rows = reinterpret_cast<float*>(args.scratch + packed_bytes);
    if (ta)
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < k; ++j) rows[i * k + j] = left[j * m + i];
    GemmF32Args g;
    g.shape = shape;
    g.a = ta ? rows : left;
    g.a_stride = k;
    g.packed = reinterpret_cast<const float*>(args.scratch);
    g.out = args.output<float>(0);
    g.out_stride = n;
    g.row_end = m;
    g.panel_end = panels_of(n);
    kernel->run(g);
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        float& y = g.out[i * n + j];
        y = alpha * y +
            (has_c ? beta * args.input<float>(2)[i * c_strides[0] + j * c_strides[1]] : 0.0f);
      }
  });
  return {};
}

constexpr OpRow kRows[] = {
    {"", "MatMul", 1, plan_matmul},
    {"", "Gemm", 7, plan_gemm},
    {"intact", "Linear", 1, plan_linear},
};

}  // namespace

std::span<const OpRow> matmul_ops() { return kRows; }

}  // namespace intact
