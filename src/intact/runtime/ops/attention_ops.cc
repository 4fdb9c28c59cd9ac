// attention_ops.cc: intact.Attention(a, b, c, operands...): what passes/fuse_attention makes.
//
//   y = Py( softmax( f( Pa(a) Pb(b) ) ) Pc(c) )                                                 (1)
//
// Pa, Pb, Pc, Py permute axes (attributes perm_a ... perm_y); f is a chain (chain.h: attributes
// chain, chain_inputs, chain_alpha, chain_beta) whose operands are reals that broadcast to the
// first product. softmax is over the last axis. y is codes when its value carries a Quant.
//
// Either product may be one of codes: the first where a and b are, the second where c is; then what
// softmax leaves becomes codes too, of the map in attributes p_scale and p_zero_point. Factors that
// begin f, and a sum with what all rows share behind them, are then done as accumulators become
// reals:
//
//   f = fma(float(acc), s_a s_b k, operand[column])                                             (2)
//
// Input y_factor, where that attribute is, holds constants that multiply y before its Q, as the
// last two axes of y lie.
//
// One head is computed a few rows at a time: the rows of the first product, and what becomes of
// them, never leave the second-level cache.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/align.h"
#include "kernels/exact_inverse.h"
#include "kernels/gemm_f32.h"
#include "kernels/rows_f32.h"
#include "runtime/ops/chain.h"
#include "runtime/ops/int_gemm.h"
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

// One of the two products of a head: its right side is packed, then rows are multiplied.
struct Product {
  GemmShape shape;
  const GemmF32Kernel* reals = nullptr;
  std::optional<ComputedIntGemm> codes;  // Both sides are codes.
  // Of codes: the epilogue but for c, and its arrays.
  Epilogue epilogue;
  std::vector<float> factors, zeros;

  static Product of_reals(const GemmShape& shape, IsaLevel isa) {
    Product p;
    p.shape = shape;
    p.reals = &select_kernel<GemmF32Kernel>(isa);
    return p;
  }
  static Result<Product> of_codes(const GemmShape& shape, std::int32_t za, std::int32_t zb,
                                  double factor, EpilogueKind kind) {
    Product p;
    p.shape = shape;
    INTACT_ASSIGN(p.codes, ComputedIntGemm::make(shape, za, zb));
    p.factors.assign(static_cast<std::size_t>(padded_n(shape.n)), static_cast<float>(factor));
    p.zeros.assign(p.factors.size(), 0.0f);
    p.epilogue.kind = kind;
    return p;
  }

  [[nodiscard]] std::size_t element_bytes() const { return codes ? 1 : sizeof(float); }
  [[nodiscard]] std::int64_t tile() const { return codes ? codes->kernel().tile_m : reals->tile_m; }
  [[nodiscard]] std::size_t bytes() const {
    return codes ? codes->bytes()
                 : align_up(static_cast<std::size_t>(packed_elems_f32(shape)) * sizeof(float));
  }
  // Strides in elements.
  void pack(const std::byte* b, std::int64_t k_stride, std::int64_t n_stride, std::byte* to) const {
    if (codes) return codes->pack(reinterpret_cast<const std::uint8_t*>(b), k_stride, n_stride, to);
    reals->pack_b(shape, {reinterpret_cast<const float*>(b), 0, k_stride, n_stride}, 0,
                  panels_of(shape.n), reinterpret_cast<float*>(to));
  }
  // `added`: of codes, one a column, with room for whole panels. `group`: of factors.
  void run(const std::byte* a, std::int64_t a_stride, std::int64_t rows, std::byte* packed,
           const float* added, std::byte* out, std::int64_t out_stride,
           std::int64_t group = 0) const {
    if (codes) {
      GemmU8S8Args g = codes->call(packed);
      g.a = reinterpret_cast<const std::uint8_t*>(a);
      g.a_row_bytes = a_stride;
      g.epilogue = epilogue;
      g.epilogue.m = factors.data() + group * padded_n(shape.n);
      g.epilogue.c = added;
      g.out = out;
      g.out_row_bytes = out_stride * (epilogue.kind == EpilogueKind::kCodes ? 1 : 4);
      g.row_end = rows;
      return codes->kernel().run(g);
    }
    GemmF32Args g;
    g.shape = shape;
    g.a = reinterpret_cast<const float*>(a);
    g.a_stride = a_stride;
    g.packed = reinterpret_cast<const float*>(packed);
    g.out = reinterpret_cast<float*>(out);
    g.out_stride = out_stride;
    g.row_end = rows;
    g.panel_end = panels_of(shape.n);
    reals->run(g);
  }
};

// Takes the factors off the beginning of f: equation (2).
double take_factors(const OpContext& c, std::vector<Step>& steps, double factor) {
  std::size_t taken = 0;
  for (; taken < steps.size(); ++taken) {
    const Step& s = steps[taken];
    const bool divides = s.binary == BinaryOp::kDiv && !s.reversed;
    if (s.is_unary || (!divides && s.binary != BinaryOp::kMul)) break;
    const ValueInfo& operand = c.input(s.input);
    if (operand.constant == nullptr || operand.size() != 1) break;
    const double k = to_float64(*operand.constant)[0];
    const double next = divides ? factor / k : factor * k;
    if (!(std::fabs(next) > 0x1p-100 && std::fabs(next) < 0x1p100)) break;
    factor = next;
  }
  steps.erase(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(taken));
  return factor;
}

// The same for a sum with what all rows share.
std::optional<Step> take_sum(std::vector<Step>& steps) {
  if (steps.empty() || steps[0].is_unary || steps[0].binary != BinaryOp::kAdd) return std::nullopt;
  const Ints& strides = steps[0].strides;
  if (strides[strides.size() - 2] != 0) return std::nullopt;
  const Step sum = steps[0];
  steps.erase(steps.begin());
  return sum;
}

// The Q behind softmax.
TensorMap weights_map(const Node& node) {
  return {static_cast<double>(node.get_float("p_scale", 1)),
          static_cast<std::int32_t>(node.get_int("p_zero_point", 0))};
}

Status plan_attention(OpContext& c) {
  const Node& node = c.node();
  const bool first_codes = c.input(0).quant != nullptr;
  const bool second_codes = c.input(2).quant != nullptr;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{2}})
    INTACT_TRY(
        c.require(i, (i < 2 ? first_codes : second_codes) ? Dtype::kUint8 : Dtype::kFloat32));
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
  const auto* rows_kernel = &select_kernel<RowsF32Kernel>(isa);
  const auto* math = &select_kernel<ElementwiseF32Kernel>(isa);
  const auto* codes = &select_kernel<CodesU8Kernel>(isa);
  const float scale = quant ? quant->scale[0] : 1.0f;
  const std::int32_t zero = quant ? quant->zero_point[0] : 0;
  const float inverse = quant ? exact_inverse(scale) : 0.0f;
  const GemmShape first_shape{n, 1, k}, second_shape{width, 1, n};
  Product first = Product::of_reals(first_shape, isa);
  Product second = Product::of_reals(second_shape, isa);
  std::optional<Step> added;
  if (first_codes) {
    INTACT_ASSIGN(const TensorMap a_map, tensor_map(c.input(0), "the left operand"));
    INTACT_ASSIGN(const TensorMap b_map, tensor_map(c.input(1), "the right operand"));
    const double factor = take_factors(c, steps, a_map.scale * b_map.scale);
    added = take_sum(steps);
    INTACT_ASSIGN(first, Product::of_codes(first_shape, a_map.zero, b_map.zero, factor,
                                           EpilogueKind::kFloat));
  }
  const TensorMap p_map = weights_map(node);
  const bool to_codes = quant.has_value();
  double second_factor = 1.0;
  if (second_codes) {
    INTACT_ASSIGN(const TensorMap c_map, tensor_map(c.input(2), "the right operand"));
    second_factor = p_map.scale * c_map.scale / static_cast<double>(scale);
    INTACT_ASSIGN(second,
                  Product::of_codes(second_shape, p_map.zero, c_map.zero, second_factor,
                                    to_codes ? EpilogueKind::kCodes : EpilogueKind::kFloat));
    second.epilogue.codes.zero = zero;
  }
  // By group, a row of the last two axes of y.
  std::vector<float> y_factors;
  const std::int64_t groups = c.outputs_[0].shape[rank - 2];
  if (node.has("y_factor")) {
    const ValueInfo& info = c.input(static_cast<std::size_t>(node.get_int("y_factor", 0)));
    INTACT_CHECK(quant && info.constant != nullptr && info.size() == groups * width,
                 "node '{}': {} factors for {} columns", node.name, info.size(), groups * width);
    const auto values = info.constant->values<float>();
    y_factors.assign(values.begin(), values.end());
  }
  if (second_codes && !y_factors.empty()) {
    const auto pitch = static_cast<std::size_t>(padded_n(width));
    const float plain = second.factors.empty() ? 0.0f : second.factors[0];
    second.factors.assign(pitch * static_cast<std::size_t>(groups), plain);
    for (std::size_t i = 0; i < y_factors.size(); ++i)
      second.factors[i / static_cast<std::size_t>(width) * pitch +
                     i % static_cast<std::size_t>(width)] =
          static_cast<float>(second_factor * static_cast<double>(y_factors[i]));
  }
  const auto align = [](std::int64_t floats) {
    return align_up(static_cast<std::size_t>(floats) * sizeof(float));
  };
  // Rows at once: about a first-level cache of the first product.
  constexpr std::int64_t kElements = 6144;
  const std::int64_t tile = first.tile();
  const std::int64_t block =
      std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, n) / tile) * tile;
  // Reals that are still to become codes.
  const bool quantizes = to_codes && !second_codes;
  const std::size_t b_bytes = first.bytes();
  const std::size_t c_bytes = second.bytes();
  const std::size_t s_bytes = align(block * n);
  const std::size_t p_bytes =
      second_codes ? align_up(static_cast<std::size_t>(block * n) + kSlackBytes) : 0;
  const std::size_t sum_bytes = added ? align(padded_n(n)) : 0;
  const std::size_t reals_bytes = quantizes ? align(block * width) : 0;
  const std::size_t scratch = b_bytes + c_bytes + s_bytes + p_bytes + sum_bytes + reals_bytes;
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  // Fewer heads than threads: their rows are shared out, and packed more than once.
  const std::int64_t parts =
      heads >= c.threads() ? 1 : std::min<std::int64_t>(c.threads(), (m + block - 1) / block);
  const Ints s_sizes = with(m, n);
  c.run([=, steps = std::move(steps), first = std::move(first),
         second = std::move(second)](const StepArgs& args) {
    args.pool.run(static_cast<std::size_t>(heads * parts), [&](std::size_t t) {
      const std::int64_t head = static_cast<std::int64_t>(t) / parts;
      const std::int64_t part = static_cast<std::int64_t>(t) % parts;
      std::byte* packed_b = args.scratch + ThreadPool::worker() * scratch;
      std::byte* packed_c = packed_b + b_bytes;
      auto* s = reinterpret_cast<float*>(packed_c + c_bytes);
      auto* p = reinterpret_cast<std::uint8_t*>(packed_c + c_bytes + s_bytes);
      auto* sums = reinterpret_cast<float*>(packed_c + c_bytes + s_bytes + p_bytes);
      auto* reals = reinterpret_cast<float*>(packed_c + c_bytes + s_bytes + p_bytes + sum_bytes);
      const auto at = [&](std::size_t input, const Product& product, const Ints& strides) {
        return args.in[input] + batch_offset(s_sizes, strides, head) *
                                    static_cast<std::ptrdiff_t>(product.element_bytes());
      };
      first.pack(at(1, first, b_strides), b_strides[rank - 2], b_strides[rank - 1], packed_b);
      second.pack(at(2, second, c_strides), c_strides[rank - 2], c_strides[rank - 1], packed_c);
      if (added) {
        const float* operand =
            args.input<float>(added->input) + batch_offset(s_sizes, added->strides, head);
        for (std::int64_t j = 0; j < n; ++j) sums[j] = operand[j * added->strides[rank - 1]];
        std::fill(sums + n, sums + padded_n(n), 0.0f);
      }
      const std::byte* left = at(0, first, a_strides);
      const std::int64_t y_at = batch_offset(s_sizes, y_strides, head);
      const std::int64_t y_row = y_strides[rank - 2];
      const std::int64_t group =
          y_factors.empty() ? 0 : y_at / std::max<std::int64_t>(1, width) % groups;
      for (std::int64_t row = m * part / parts; row < m * (part + 1) / parts; row += block) {
        const std::int64_t rows = std::min(block, m * (part + 1) / parts - row);
        first.run(
            left + row * a_strides[rank - 2] * static_cast<std::ptrdiff_t>(first.element_bytes()),
            a_strides[rank - 2], rows, packed_b, added ? sums : first.zeros.data(),
            reinterpret_cast<std::byte*>(s), n);
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
        const std::byte* weights = reinterpret_cast<const std::byte*>(s);
        if (second_codes) {
          codes->softmax({rows, n, s, n, static_cast<float>(p_map.scale), p_map.zero, p, n});
          weights = reinterpret_cast<const std::byte*>(p);
        } else {
          rows_kernel->softmax_last({rows, n, s, n, s, n, false});
        }
        const std::int64_t to = y_at + row * y_row;
        std::byte* y = args.out[0] + to * static_cast<std::ptrdiff_t>(to_codes ? 1 : sizeof(float));
        second.run(weights, n, rows, packed_c, second.zeros.data(),
                   quantizes ? reinterpret_cast<std::byte*>(reals) : y, quantizes ? width : y_row,
                   group);
        QuantParams params{&scale, &zero, false, 0, 255, inverse};
        if (!y_factors.empty()) params.factor = y_factors.data() + group * width;
        for (std::int64_t r = 0; quantizes && r < rows; ++r)
          codes->quantize(reals + r * width, 1, width, params,
                          reinterpret_cast<std::uint8_t*>(y) + r * y_row);
      }
    });
  });
  return {};
}

constexpr OpRow kRows[] = {{"intact", "Attention", 1, plan_attention}};

}  // namespace

std::span<const OpRow> attention_ops() { return kRows; }

}  // namespace intact
