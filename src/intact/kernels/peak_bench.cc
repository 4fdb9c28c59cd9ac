// The reference loops (peak.h): bench/compare.py divides every other benchmark by them.
#include <benchmark/benchmark.h>

#include <string>

#include "kernels/peak.h"

namespace intact {
namespace {

constexpr std::int64_t kRounds = 10000;

const bool kRegistered = [] {
  for (const PeakKernel* kernel : kernel_rows<PeakKernel>()) {
    if (!isa_covers(detect_isa(), kernel->isa)) continue;
    benchmark::RegisterBenchmark(
        std::string(kernel->name).c_str(), [kernel](benchmark::State& state) {
          std::int64_t macs = 0;
          for (auto _ : state) macs = kernel->run(kRounds);
          state.counters["GMAC/s"] = benchmark::Counter(
              1e-9 * static_cast<double>(macs), benchmark::Counter::kIsIterationInvariantRate);
        });
  }
  return true;
}();

}  // namespace
}  // namespace intact
