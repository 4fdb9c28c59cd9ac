// peak_dot.h: how many multiply-adds a second this processor can do, for "share of the peak".
//
// A row does nothing but the products of its kernels' register tile, on operands that stay in L1:
// as many accumulators, no weights streamed, no epilogue. One a level; what bench reports is
// relative to the row of the same level.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace intact {

struct PeakDotKernel {
  std::string_view name;
  IsaLevel isa;
  std::int64_t macs;  // Multiply-adds of one repetition.
  // Runs `repeat` repetitions; the result only keeps them from being optimized away.
  std::int32_t (*run)(std::int64_t repeat);
};

template <>
std::span<const PeakDotKernel* const> kernel_rows<PeakDotKernel>() noexcept;

}  // namespace intact
