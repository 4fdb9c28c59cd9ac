#include "runtime/step_cost.h"

#include <algorithm>

namespace intact {
namespace {

constexpr double kIntegerMacsAUs = 100e3;
constexpr double kFloatMacsAUs = 25e3;
constexpr double kBytesAUs = 10e3;

// Multiply-adds of products: each output element sums one row of the right operand.
double multiply_adds(const Node& node, std::span<const ValueInfo> in, const ValueInfo& out) {
  if (in.size() < 2 || in[1].rank() < 2 || in[1].size() == 0) return 0;
  const auto size = static_cast<double>(out.size());
  const Shape& w = in[1].shape;
  if (node.is("Conv") || node.is("QConv", "intact"))
    return size * static_cast<double>(in[1].size() / w[0]);
  if (node.is("ConvTranspose") || node.is("QConvTranspose", "intact"))
    return static_cast<double>(in[0].size()) * static_cast<double>(in[1].size() / w[0]);
  const bool matrix = node.is("MatMul") || node.is("Gemm") || node.is("QLinear", "intact") ||
                      node.is("QMatMul", "intact") || node.is("Attention", "intact");
  return matrix ? size * static_cast<double>(std::max(w[w.size() - 1], w[w.size() - 2])) : 0;
}

}  // namespace

double step_cost_us(const Node& node, std::span<const ValueInfo> inputs,
                    std::span<const ValueInfo> outputs) {
  double bytes = 0;
  for (const auto& side : {inputs, outputs})
    for (const ValueInfo& info : side)
      bytes += static_cast<double>(bytes_of(info.dtype, info.size()));
  double cost = bytes / kBytesAUs;
  if (!inputs.empty() && !outputs.empty())
    cost += multiply_adds(node, inputs, outputs[0]) /
            (inputs[0].dtype == Dtype::kUint8 ? kIntegerMacsAUs : kFloatMacsAUs);
  return cost;
}

}  // namespace intact
