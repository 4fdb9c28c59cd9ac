#include "runtime/ops/float_epilogue.h"

#include <fmt/format.h>

#include "kernels/gemm_bf16.h"

namespace intact {

Result<FloatEpilogue> read_float_epilogue(const OpContext& c, const ValueInfo& out) {
  FloatEpilogue e;
  INTACT_ASSIGN(e.chain, read_chain(c, out));
  const auto& quant = c.graph().value(c.node().outputs[0]).quant;
  e.codes_out = quant.has_value();
  if (e.codes_out) e.code = TensorMap{static_cast<double>(quant->scale[0]), quant->zero_point[0]};
  if (const auto clamp = e.chain.as_clamp()) {
    e.lo = clamp->lo;
    e.hi = clamp->hi;
    e.chain.clear();
  } else if (const auto sum = e.chain.as_sum_of_floats()) {
    e.lo = sum->clamp.lo;
    e.hi = sum->clamp.hi;
    e.residual_input = sum->input;
    e.chain.clear();
  }
  return e;
}

Result<std::shared_ptr<PackedFloatGemm>> pack_float_gemm(const GemmShape& shape,
                                                         const GemmF32Source& source,
                                                         std::span<const float> bias, bool fast) {
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  auto p = std::make_shared<PackedFloatGemm>();
  p->kernel = fast ? &gemm_bf16()->product : &select_kernel<GemmF32Kernel>(isa);
  p->shape = shape;
  GemmF32Source b = source;
  std::vector<float> pairs;
  if (fast) {
    pairs = pairs_of_b(shape, source);
    p->shape.k_per_tap = pairs_of(shape.k_per_tap);
    b = {pairs.data(), p->shape.k_per_tap * shape.n, shape.n, 1};
  }
  p->packed =
      Buffer::allocate(static_cast<std::size_t>(packed_elems_f32(p->shape)) * sizeof(float));
  p->kernel->pack_b(p->shape, b, 0, panels_of(shape.n),
                    reinterpret_cast<float*>(p->packed->data()));
  p->bias = bias;
  return p;
}

bool is_fast(const OpContext& c) {
  return c.node().get_int("bf16", 0) != 0 && gemm_bf16() != nullptr;
}

ProductCut cut_float_gemm(const OpContext& c, const GemmF32Kernel& kernel, std::int64_t rows,
                          const GemmShape& shape, std::int64_t wanted, bool by_panels) {
  return ProductCut::of({rows, panels_of(shape.n), shape.k(), shape.k_per_tap, c.threads()}, wanted,
                        kernel.tile_m, kernel.tile_panels, by_panels);
}

Result<std::vector<float>> read_float_bias(OpContext& c, std::size_t i, std::int64_t channels) {
  if (!c.has(i)) return std::vector<float>{};
  INTACT_TRY(c.require(i, Dtype::kFloat32));
  INTACT_ASSIGN(const Tensor* t, c.known(i));
  if (t->size() != channels)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("a bias of {} for {} channels", t->size(), channels));
  const auto values = t->values<float>();
  return std::vector<float>(values.begin(), values.end());
}

}  // namespace intact
