#include "runtime/multiply_adds.h"

namespace intact {
namespace {

// Operators on codes carry a Q in front of the name of the one whose product they
// form, or Integer behind it.
std::string_view product_of(const Node& node) {
  std::string_view op = node.op;
  if (op.starts_with('Q')) op.remove_prefix(1);
  if (op.ends_with("Integer")) op.remove_suffix(std::string_view("Integer").size());
  for (const std::string_view known : {"Conv", "ConvTranspose", "Gemm", "Linear", "MatMul"})
    if (op == known) return known;
  return {};
}

}  // namespace

double multiply_adds(const Node& node, const Shape& x, const Shape& w, const Shape& y) {
  const std::string_view op = product_of(node);
  if (op.empty()) return 0;
  if (op == "Conv" || op == "ConvTranspose") {
    // Weights of one channel, once for every output (convolution) or input (transposed).
    auto macs = static_cast<double>(num_elements(op == "Conv" ? y : x));
    for (std::size_t d = 1; d < w.size(); ++d) macs *= static_cast<double>(w[d]);
    return macs;
  }
  if (x.empty()) return 0;
  const bool trans_a = op == "Gemm" && node.get_int("transA", 0) != 0;
  return static_cast<double>(num_elements(y)) * static_cast<double>(trans_a ? x.front() : x.back());
}

}  // namespace intact
