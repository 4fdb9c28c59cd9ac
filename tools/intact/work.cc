#include "work.h"

#include "kernels/peak.h"
#include "runtime/multiply_adds.h"

namespace intact::cli {
Work& Work::operator+=(const Work& other) {
  integer += other.integer;
  real += other.real;
  return *this;
}

Work work_of(const Step& step) {
  Work sum;
  if (step.joined != nullptr) {
    for (const Step& part : *step.joined) sum += work_of(part);
    return sum;
  }
  if (step.in_info.size() < 2 || step.out_info.empty()) return sum;
  const double macs = multiply_adds(*step.node, step.in_info[0].shape, step.in_info[1].shape,
                                    step.out_info[0].shape);
  (step.node->op.starts_with('Q') ? sum.integer : sum.real) = macs;
  return sum;
}

Work work_of(const Plan& plan) {
  Work sum;
  for (const Step& step : plan.steps) sum += work_of(step);
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
