#include "kernels/peak.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace intact {

#if defined(__x86_64__)
extern const PeakKernel kPeakU8S8Avx512Vnni, kPeakU8S8Avx512Dot, kPeakU8S8AvxVnni, kPeakU8S8Avx2;
extern const PeakKernel kPeakF32Avx512, kPeakF32Avx2;
constexpr std::array kRows{&kPeakU8S8Avx512Vnni, &kPeakU8S8Avx512Dot, &kPeakU8S8AvxVnni,
                           &kPeakU8S8Avx2,       &kPeakF32Avx512,     &kPeakF32Avx2};
#elif defined(__aarch64__)
extern const PeakKernel kPeakU8S8NeonDot, kPeakF32Neon;
constexpr std::array kRows{&kPeakU8S8NeonDot, &kPeakF32Neon};
#else
constexpr std::array<const PeakKernel*, 0> kRows{};
#endif

template <>
std::span<const PeakKernel* const> kernel_rows<PeakKernel>() noexcept {
  return kRows;
}

const PeakKernel* find_peak(IsaLevel isa, bool integer) noexcept {
  for (const PeakKernel* row : kRows)
    if (row->integer == integer && isa_covers(isa, row->isa)) return row;
  return nullptr;
}

double measure_peak(const PeakKernel& kernel, double seconds) {
  using Clock = std::chrono::steady_clock;
  // Short runs: the best one had the core to itself.
  constexpr double kRunSeconds = 0.001;
  const auto timed = [&](std::int64_t rounds) {
    const auto start = Clock::now();
    const std::int64_t done = kernel.run(rounds);
    return std::pair(done, std::chrono::duration<double>(Clock::now() - start).count());
  };
  std::int64_t rounds = 1024;
  while (timed(rounds).second < kRunSeconds) rounds *= 2;
  double best = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto [done, took] = timed(rounds);
    best = std::max(best, static_cast<double>(done) / took);
  } while (Clock::now() < end);
  return best;
}

}  // namespace intact
