// attention_ops.cc: intact.Attention(a, b, c, operands...): what passes/fuse_attention makes.
//
//   y = Py( softmax( f( Pa(a) Pb(b) ) ) Pc(c) )                                                 (1)
//
// Pa, Pb, Pc, Py permute axes (attributes perm_a ... perm_y); f is a chain (chain.h: attributes
// chain, chain_inputs, chain_alpha, chain_beta) whose operands are reals that broadcast to the
// first product. softmax is over the last axis. y is codes when its value carries a Quant.
//
// One head is computed a few rows at a time: the rows of the first product, and what becomes of
// them, never leave the second-level cache. Each value is what the separate operators would
// compute.

#include <fmt/format.h>

#include <algorithm>

#include "base/align.h"
#include "kernels/exact_inverse.h"
#include "kernels/gemm_f32.h"
#include "kernels/rows_f32.h"
#include "runtime/ops/chain.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

// A tensor of matrices: batch axes, then rows and columns.
struct Matrices {
  Ints sizes, strides;  // By axis; the last two are a matrix's.
  [[nodiscard]] std::int64_t size(std::size_t from_end) const {
    return sizes[sizes.size() - from_end];
  }
  [[nodiscard]] std::int64_t stride(std::size_t from_end) const {
    return strides[strides.size() - from_end];
  }
};

Ints permuted(const Ints& v, const Ints& perm) {
  Ints out;
  for (const std::int64_t p : perm) out.push_back(v[static_cast<std::size_t>(p)]);
  return out;
}

Matrices view(const ValueInfo& x, const Ints& perm) {
  return {permuted(x.shape, perm), permuted(x.strides(), perm)};
}

// The strides of an operand of shape `own` against `sizes`: 0 where it has one element.
Result<Ints> broadcast_strides(const Matrices& own, const Ints& sizes) {
  Ints out(sizes.size(), 0);
  if (own.sizes.size() > sizes.size())
    return fail(ErrorCode::kInvalidModel, "an operand of attention has too many axes");
  const std::size_t lead = sizes.size() - own.sizes.size();
  for (std::size_t d = 0; d < own.sizes.size(); ++d) {
    if (own.sizes[d] == 1) continue;
    if (own.sizes[d] != sizes[lead + d])
      return fail(ErrorCode::kInvalidModel, fmt::format("{} does not broadcast to {}",
                                                        to_string(own.sizes), to_string(sizes)));
    out[lead + d] = own.strides[d];
  }
  return out;
}

// The element where batch entry i of an operand begins.
std::int64_t batch_offset(const Ints& sizes, const Ints& strides, std::int64_t i) {
  std::int64_t at = 0;
  for (std::size_t d = sizes.size() - 2; d-- > 0;) {
    at += i % sizes[d] * strides[d];
    i /= sizes[d];
  }
  return at;
}

struct Step {
  UnaryF32 unary{UnaryOp::kRelu};
  bool is_unary = false;
  BinaryOp binary = BinaryOp::kAdd;
  bool reversed = false;
  std::size_t input = 0;
  Ints strides;
};

Status plan_attention(OpContext& c) {
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{2}})
    INTACT_TRY(c.require(i, Dtype::kFloat32));
  const Node& node = c.node();
  const Ints perm_y = node.get_ints("perm_y");
  const Matrices a = view(c.input(0), node.get_ints("perm_a"));
  const Matrices b = view(c.input(1), node.get_ints("perm_b"));
  const Matrices d = view(c.input(2), node.get_ints("perm_c"));
  const std::int64_t m = a.size(2), k = a.size(1), n = b.size(1), width = d.size(1);
  if (b.size(2) != k || d.size(2) != n)
    return fail(ErrorCode::kInvalidModel, fmt::format("{} times {} times {}", to_string(a.sizes),
                                                      to_string(b.sizes), to_string(d.sizes)));
  const std::size_t rank = a.sizes.size();
  const auto batch_of = [&](const Matrices& x) { return std::span(x.sizes).first(rank - 2); };
  INTACT_ASSIGN(Shape batch, broadcast(batch_of(a), batch_of(b)));
  INTACT_ASSIGN(batch, broadcast(batch, batch_of(d)));
  const std::int64_t heads = num_elements(batch);
  const auto with = [&](std::int64_t rows, std::int64_t cols) {
    Ints sizes = batch;
    sizes.insert(sizes.end(), {rows, cols});
    return sizes;
  };
  INTACT_ASSIGN(const Ints a_strides, broadcast_strides(a, with(m, k)));
  INTACT_ASSIGN(const Ints b_strides, broadcast_strides(b, with(k, n)));
  INTACT_ASSIGN(const Ints c_strides, broadcast_strides(d, with(n, width)));
  const Ints y_sizes = with(m, width);
  const auto& quant = c.graph().value(node.outputs[0]).quant;
  INTACT_TRY(c.output(0, quant ? Dtype::kUint8 : Dtype::kFloat32, permuted(y_sizes, perm_y)));
  Ints y_strides(rank);  // By axis of the product.
  const auto y_own = c.outputs_[0].strides();
  for (std::size_t i = 0; i < rank; ++i) y_strides[static_cast<std::size_t>(perm_y[i])] = y_own[i];
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  INTACT_ASSIGN(const Chain chain, read_chain(c, c.outputs_[0]));
  std::vector<Step> steps;
  for (const Chain::Op& op : chain.ops()) {
    Step s{op.unary, op.is_unary, op.binary, op.reversed, 0, {}};
    if (!op.is_unary) {
      s.input = static_cast<std::size_t>(op.input);
      const ValueInfo& info = c.input(s.input);
      INTACT_ASSIGN(s.strides, broadcast_strides({info.shape, info.strides()}, with(m, n)));
    }
    steps.push_back(std::move(s));
  }
  const auto* gemm = &select_kernel<GemmF32Kernel>(isa);
  const auto* rows_kernel = &select_kernel<RowsF32Kernel>(isa);
  const auto* math = &select_kernel<ElementwiseF32Kernel>(isa);
  const auto* codes = &select_kernel<CodesU8Kernel>(isa);
  const float scale = quant ? quant->scale[0] : 1.0f;
  const std::int32_t zero = quant ? quant->zero_point[0] : 0;
  const float inverse = quant ? exact_inverse(scale) : 0.0f;
  const GemmShape first{n, 1, k}, second{width, 1, n};
  const auto align = [](std::int64_t floats) {
    return align_up(static_cast<std::size_t>(floats) * sizeof(float));
  };
  // Rows at once: about a first-level cache of the first product.
  constexpr std::int64_t kElements = 6144;
  const std::int64_t tile = gemm->tile_m;
  const std::int64_t block =
      std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, n) / tile) * tile;
  const std::size_t b_bytes = align(packed_elems_f32(first));
  const std::size_t c_bytes = align(packed_elems_f32(second));
  const std::size_t s_bytes = align(block * n);
  const std::size_t scratch = b_bytes + c_bytes + s_bytes + align(block * width);
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  // Fewer heads than threads: their rows are shared out, and packed more than once.
  const std::int64_t parts =
      heads >= c.threads() ? 1 : std::min<std::int64_t>(c.threads(), (m + block - 1) / block);
  const bool to_codes = quant.has_value();
  const Ints s_sizes = with(m, n);
  c.run([=, steps = std::move(steps)](const StepArgs& args) {
    args.pool.run(static_cast<std::size_t>(heads * parts), [&](std::size_t t) {
      const std::int64_t head = static_cast<std::int64_t>(t) / parts;
      const std::int64_t part = static_cast<std::int64_t>(t) % parts;
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      auto* packed_b = reinterpret_cast<float*>(own);
      auto* packed_c = reinterpret_cast<float*>(own + b_bytes);
      auto* s = reinterpret_cast<float*>(own + b_bytes + c_bytes);
      auto* reals = reinterpret_cast<float*>(own + b_bytes + c_bytes + s_bytes);
      const auto pack = [&](std::size_t input, const GemmShape& shape, const Ints& strides,
                            float* to) {
        const float* from = args.input<float>(input) + batch_offset(s_sizes, strides, head);
        gemm->pack_b(shape, {from, 0, strides[rank - 2], strides[rank - 1]}, 0, panels_of(shape.n),
                     to);
      };
      pack(1, first, b_strides, packed_b);
      pack(2, second, c_strides, packed_c);
      const float* left = args.input<float>(0) + batch_offset(s_sizes, a_strides, head);
      const std::int64_t y_at = batch_offset(s_sizes, y_strides, head);
      const std::int64_t y_row = y_strides[rank - 2];
      for (std::int64_t row = m * part / parts; row < m * (part + 1) / parts; row += block) {
        const std::int64_t rows = std::min(block, m * (part + 1) / parts - row);
        GemmF32Args g;
        g.shape = first;
        g.a = left + row * a_strides[rank - 2];
        g.a_stride = a_strides[rank - 2];
        g.packed = packed_b;
        g.out = s;
        g.out_stride = n;
        g.row_end = rows;
        g.panel_end = panels_of(n);
        gemm->run(g);
        for (const Step& step : steps) {
          if (step.is_unary) {
            math->unary(step.unary, s, s, rows * n);
            continue;
          }
          const float* operand = args.input<float>(step.input) +
                                 batch_offset(s_sizes, step.strides, head) +
                                 row * step.strides[rank - 2];
          BinaryF32Args e;
          e.op = step.binary;
          e.rows = rows;
          e.cols = n;
          e.y = s;
          e.y_row = n;
          e.a = step.reversed ? operand : s;
          e.b = step.reversed ? s : operand;
          (step.reversed ? e.b_row : e.a_row) = n;
          (step.reversed ? e.a_row : e.b_row) = step.strides[rank - 2];
          (step.reversed ? e.a_col : e.b_col) = step.strides[rank - 1];
          math->binary(e);
        }
        rows_kernel->softmax_last({rows, n, s, n, s, n, false});
        g.shape = second;
        g.a = s;
        g.a_stride = n;
        g.packed = packed_c;
        const std::int64_t to = y_at + row * y_row;
        g.out = to_codes ? reals : args.output<float>(0) + to;
        g.out_stride = to_codes ? width : y_row;
        g.panel_end = panels_of(width);
        gemm->run(g);
        const QuantParams params{&scale, &zero, false, 0, 255, inverse};
        for (std::int64_t r = 0; to_codes && r < rows; ++r)
          codes->quantize(reals + r * width, 1, width, params,
                          args.output<std::uint8_t>(0) + to + r * y_row);
      }
    });
  });
  return {};
}

constexpr OpRow kRows[] = {{"intact", "Attention", 1, plan_attention}};

}  // namespace

std::span<const OpRow> attention_ops() { return kRows; }

}  // namespace intact
