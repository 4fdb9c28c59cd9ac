// work.h: how much arithmetic a plan holds, and how much of it the processor could do at most.
#pragma once

#include "kernels/cpu_features.h"
#include "runtime/plan.h"

namespace intact::cli {

// Multiply-adds of convolutions and matrix products; everything else counts as nothing.
struct Work {
  double integer = 0;
  double real = 0;
  [[nodiscard]] double all() const { return integer + real; }
  Work& operator+=(const Work& other);
};

Work work_of(const Step& step);
Work work_of(const Plan& plan);

// Multiply-adds a second of one core at a level, measured (kernels/peak.h); 0 for scalar code.
struct Peaks {
  double integer = 0;
  double real = 0;
  // The least time in which `threads` cores could do that work; 0 when there is no measure of it.
  [[nodiscard]] double least_ms(const Work& work, int threads) const;
};

Peaks measure_peaks(IsaLevel isa);

}  // namespace intact::cli
