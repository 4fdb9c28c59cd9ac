// fast_float: marks the float products that may be computed with operands rounded to BF16.
//
//   Conv | Linear | Gemm | MatMul (x, w)  ->  the same {bf16=1}      w constant float32
//
// where the runtime has a kernel of pairs (kernels/gemm_bf16.h): convolutions of at least kLeast
// input channels, whose groups, if any, are whole pairs. With fewer, rounding the image costs what
// the product saves. Only sessions that ask for it run this pass.

#include "passes/edit.h"
#include "passes/registry.h"

namespace intact {
namespace {

constexpr std::int64_t kLeast = 8;

bool has_pairs(const Graph& graph, const Node& node) {
  const Tensor* w = graph.constant(node.in(1));
  if (w == nullptr || w->dtype() != Dtype::kFloat32) return false;
  if (node.is("Conv") || node.is("Conv", "intact"))
    return w->rank() >= 3 && w->shape()[1] >= kLeast &&
           (node.get_int("group", 1) == 1 || w->shape()[1] % 2 == 0);
  const ValueId bias = node.in(2);
  if (node.is("Gemm") && bias != kNoValue && graph.constant(bias) == nullptr) return false;
  const bool product = node.is("Gemm") || node.is("MatMul") || node.is("Linear", "intact");
  return product && w->rank() == 2 && node.get_int("transA", 0) == 0 &&
         node.get_float("alpha", 1) == 1 && node.get_float("beta", 1) == 1;
}

}  // namespace

Status fast_float(Graph& graph, PassContext&) {
  for (Node& node : graph.nodes)
    if (has_pairs(graph, node)) node.attributes["bf16"] = std::int64_t{1};
  return {};
}

}  // namespace intact
