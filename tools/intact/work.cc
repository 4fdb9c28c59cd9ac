#include "work.h"

#include "kernels/peak.h"

namespace intact::cli {
namespace {

// Operators on codes carry a Q in front of the name of the one whose product they form.
std::string_view product_of(const Node& node) {
  std::string_view op = node.op;
  if (op.starts_with('Q')) op.remove_prefix(1);
  for (const std::string_view known : {"Conv", "ConvTranspose", "Gemm", "Linear", "MatMul"})
    if (op == known) return known;
  return {};
}

}  // namespace

Work work_of(const Step& step) {
  const std::string_view op = product_of(*step.node);
  if (op.empty() || step.in_info.size() < 2 || step.out_info.empty()) return {};
  const ValueInfo &x = step.in_info[0], &w = step.in_info[1], &y = step.out_info[0];
  double macs = 0;
  if (op == "Conv" || op == "ConvTranspose") {
    // Weights of one channel, once for every output (convolution) or input (transposed).
    macs = static_cast<double>(op == "Conv" ? y.size() : x.size());
    for (std::size_t d = 1; d < w.rank(); ++d) macs *= static_cast<double>(w.shape[d]);
  } else if (x.rank() > 0) {
    const bool trans_a = op == "Gemm" && step.node->get_int("transA", 0) != 0;
    macs = static_cast<double>(y.size()) *
           static_cast<double>(trans_a ? x.shape.front() : x.shape.back());
  }
  return step.node->op.starts_with('Q') ? Work{macs, 0} : Work{0, macs};
}

Work work_of(const Plan& plan) {
  Work sum;
  for (const Step& step : plan.steps) {
    const Work w = work_of(step);
    sum.integer += w.integer;
    sum.real += w.real;
  }
  return sum;
}

double Peaks::least_ms(const Work& work, int threads) const {
  if ((work.integer > 0 && integer == 0) || (work.real > 0 && real == 0)) return 0;
  const double seconds =
      (integer > 0 ? work.integer / integer : 0) + (real > 0 ? work.real / real : 0);
  return 1e3 * seconds / threads;
}

Peaks measure_peaks(IsaLevel isa) {
  const auto peak = [isa](bool integer) {
    const PeakKernel* row = find_peak(isa, integer);
    return row == nullptr ? 0 : measure_peak(*row);
  };
  return {peak(true), peak(false)};
}

}  // namespace intact::cli
