// peak.h: what the arithmetic units of this processor can do at most, measured.
//
// The word that a level's kernels are made of (dot for codes, fma for floats) on independent
// accumulators in registers: nothing is loaded, nothing waits. Shares of peak are shares of this,
// and benchmarks divide by it so that a slower clock or machine does not look like a slower kernel.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel_table.h"

namespace intact {

// name is "peak_u8s8/LEVEL" or "peak_f32/LEVEL".
struct PeakKernel {
  std::string_view name;
  IsaLevel isa;
  bool integer;
  // Does that many rounds (>= 0) and returns how many multiply-adds they were.
  std::int64_t (*run)(std::int64_t rounds) noexcept;
};

// The rows of both operand types, best first. Scalar code has none: what the compiler makes of it
// is no property of the processor.
template <>
std::span<const PeakKernel* const> kernel_rows<PeakKernel>() noexcept;

// Returns the row that a machine of level `isa` reaches most with; null for scalar code.
const PeakKernel* find_peak(IsaLevel isa, bool integer) noexcept;

// Returns multiply-adds a second of one thread: the best of short runs that take about `seconds`.
double measure_peak(const PeakKernel& kernel, double seconds = 0.05);

}  // namespace intact
