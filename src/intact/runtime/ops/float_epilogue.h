// float_epilogue.h: what the float products do with a sum before they store it.
//
// A clamp, and the sum with a float value of the output's shape and a clamp, are done in registers;
// the rest of a node's chain (chain.h) on rows that are still in the cache. The output may be
// codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "kernels/gemm_f32.h"
#include "runtime/op.h"
#include "runtime/ops/chain.h"
#include "runtime/ops/cut.h"

namespace intact {

struct FloatEpilogue {
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
  int residual_input = -1;
  Chain chain;             // What the registers do not do.
  bool codes_out = false;  // The rows become codes of `code`.
  TensorMap code;
};

Result<FloatEpilogue> read_float_epilogue(const OpContext& c, const ValueInfo& out);

// A float right-hand side in panels.
struct PackedFloatGemm {
  const GemmF32Kernel* kernel = nullptr;
  GemmShape shape;
  std::shared_ptr<Buffer> packed;
  PackedArray<float> bias;  // Empty: none.

  auto fields() { return std::tie(kernel, shape, packed, bias); }
};
// `fast`: of pairs of bfloat16 (kernels/gemm_bf16.h), which wants is_fast; `shape` is then in
// pairs.
Result<std::shared_ptr<PackedFloatGemm>> pack_float_gemm(const GemmShape& shape,
                                                         const GemmF32Source& source,
                                                         std::span<const float> bias,
                                                         bool fast = false);

// True for a node that passes/fast_float marked, on a machine with the unit.
bool is_fast(const OpContext& c);

// How a product of `rows` rows is cut into about `wanted` tasks, by rows alone or by panels too.
ProductCut cut_float_gemm(const OpContext& c, const GemmF32Kernel& kernel, std::int64_t rows,
                          const GemmShape& shape, std::int64_t wanted, bool by_panels = true);

// Reads a float32 constant bias of `channels` elements from input i; empty when absent.
Result<std::vector<float>> read_float_bias(OpContext& c, std::size_t i, std::int64_t channels);

}  // namespace intact
