// plan_lanes.h: which steps of a plan run in lanes, and which of those need not wait.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "runtime/plan.h"

namespace intact {

// The memory that a step's values have, a number each; -1: none that a step of the plan writes.
struct StepBlocks {
  std::vector<std::int32_t> in;
  std::vector<std::int32_t> out;
};

// The tasks of a lane, [first, second).
std::pair<std::size_t, std::size_t> lane_share(std::size_t tasks, int lane, int lanes);

// Sets Step::in_lanes, waits and tasks. Returns, for each step, the number of its group: those of a
// group follow one another and may run at the same time, in different lanes.
std::vector<std::int32_t> plan_lanes(std::span<Step> steps, int threads,
                                     std::span<const StepBlocks> blocks);

}  // namespace intact
