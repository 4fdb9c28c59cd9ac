#include "runtime/step_cost.h"

#include <algorithm>

#include "runtime/multiply_adds.h"

namespace intact {
namespace {

constexpr double kIntegerMacsAUs = 100e3;
constexpr double kFloatMacsAUs = 25e3;
constexpr double kBytesAUs = 10e3;

}  // namespace

std::int64_t tasks_a_thread(double us, int threads) {
  constexpr double kTaskUs = 25;
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(us / threads / kTaskUs), 1, 4);
}

double step_cost_us(const Node& node, std::span<const ValueInfo> inputs,
                    std::span<const ValueInfo> outputs) {
  double bytes = 0;
  for (const auto& side : {inputs, outputs})
    for (const ValueInfo& info : side)
      bytes += static_cast<double>(bytes_of(info.dtype, info.size()));
  double cost = bytes / kBytesAUs;
  if (inputs.size() >= 2 && !outputs.empty())
    cost += multiply_adds(node, inputs[0].shape, inputs[1].shape, outputs[0].shape) /
            (inputs[0].dtype == Dtype::kUint8 ? kIntegerMacsAUs : kFloatMacsAUs);
  return cost;
}

}  // namespace intact
