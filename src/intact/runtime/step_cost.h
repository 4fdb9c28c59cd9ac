// step_cost.h: about how long a step takes on one thread, to tell which are worth sharing.
//
//   cost = multiply-adds / rate + bytes read and written / bandwidth
//
// with rates that kernels sustain on small layers (docs/benchmarks.md). Handing half of a step to
// another core costs a quarter of a microsecond, and keeping a step on one core the transfer of the
// half that the other wrote.
// A wrong estimate costs time, never a bit: results do not depend on the number of threads.
#pragma once

#include <span>

#include "runtime/op.h"

namespace intact {

// Steps below this run on the caller's thread alone.
inline constexpr double kLeastSharedUs = 1;

// How many tasks a thread a step is cut into: one, and more where that is long enough to even out
// what other programs take.
std::int64_t tasks_a_thread(double us, int threads);

double step_cost_us(const Node& node, std::span<const ValueInfo> inputs,
                    std::span<const ValueInfo> outputs);

}  // namespace intact
