#include "kernels/cpu_features.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace intact {
namespace {

constexpr std::array kAllLevels{IsaLevel::kScalar, IsaLevel::kAvx2,      IsaLevel::kAvxVnni,
                                IsaLevel::kAvx512, IsaLevel::kAvx512Dot, IsaLevel::kAvx512Vnni,
                                IsaLevel::kNeon,   IsaLevel::kNeonDot};

#if defined(__x86_64__)
IsaLevel ask_processor() noexcept {
  // __builtin_cpu_supports also asks the operating system (XGETBV) whether it saves the registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!avx2) return IsaLevel::kScalar;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx512 && __builtin_cpu_supports("avx512vnni"))
    return __builtin_cpu_supports("avx512vbmi") ? IsaLevel::kAvx512Vnni : IsaLevel::kAvx512Dot;
  if (avx512) return IsaLevel::kAvx512;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kAvxVnniBit = 1U << 4;  // CPUID leaf 7, sub-leaf 1, EAX.
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kAvxVnniBit) != 0)
    return IsaLevel::kAvxVnni;
  return IsaLevel::kAvx2;
}
#elif defined(__aarch64__)
IsaLevel ask_processor() noexcept {
#if defined(__linux__)
  const unsigned long caps = getauxval(AT_HWCAP);
  if ((caps & HWCAP_ASIMDDP) != 0 && (caps & HWCAP_ASIMDHP) != 0) return IsaLevel::kNeonDot;
#endif
  return IsaLevel::kNeon;
}
#else
IsaLevel ask_processor() noexcept { return IsaLevel::kScalar; }
#endif

std::string ask_name() {
#if defined(__x86_64__)
  std::array<unsigned, 12> words{};
  if (__get_cpuid_max(0x80000000U, nullptr) >= 0x80000004U) {
    for (unsigned i = 0; i < 3; ++i)
      __get_cpuid(0x80000002U + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                  &words[4 * i + 3]);
    std::array<char, sizeof(words) + 1> text{};
    std::memcpy(text.data(), words.data(), sizeof(words));
    std::string name = text.data();
    while (!name.empty() && name.back() == ' ') name.pop_back();
    while (!name.empty() && name.front() == ' ') name.erase(0, 1);
    if (!name.empty()) return name;
  }
#endif
  return "unknown";
}

}  // namespace

std::string_view name_of(IsaLevel isa) noexcept {
  switch (isa) {
    case IsaLevel::kScalar:
      return "scalar";
    case IsaLevel::kAvx2:
      return "avx2";
    case IsaLevel::kAvxVnni:
      return "avxvnni";
    case IsaLevel::kAvx512:
      return "avx512";
    case IsaLevel::kAvx512Dot:
      return "avx512dot";
    case IsaLevel::kAvx512Vnni:
      return "avx512vnni";
    case IsaLevel::kNeon:
      return "neon";
    case IsaLevel::kNeonDot:
      return "neondot";
  }
  return "unknown";
}

bool isa_covers(IsaLevel machine, IsaLevel kernel) noexcept {
  if (machine == kernel || kernel == IsaLevel::kScalar) return true;
  switch (machine) {
    case IsaLevel::kAvxVnni:
    case IsaLevel::kAvx512:
      return kernel == IsaLevel::kAvx2;
    case IsaLevel::kAvx512Dot:
      return kernel == IsaLevel::kAvx2 || kernel == IsaLevel::kAvx512;
    case IsaLevel::kAvx512Vnni:
      return kernel == IsaLevel::kAvx2 || kernel == IsaLevel::kAvx512 ||
             kernel == IsaLevel::kAvx512Dot;
    case IsaLevel::kNeonDot:
      return kernel == IsaLevel::kNeon;
    default:
      return false;
  }
}

IsaLevel detect_isa() noexcept {
  static const IsaLevel kDetected = ask_processor();
  return kDetected;
}

Result<IsaLevel> pinned_isa(std::string_view pin, IsaLevel detected) {
  if (pin.empty()) return detected;
  std::string choices;
  for (const IsaLevel level : kAllLevels) {
    if (!isa_covers(detected, level)) continue;
    if (pin == name_of(level)) return level;
    choices += choices.empty() ? "" : ", ";
    choices += name_of(level);
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("INTACT_ISA='{}': this processor offers {}", pin, choices));
}

Result<IsaLevel> host_isa() {
  const char* pin = std::getenv("INTACT_ISA");  // NOLINT(concurrency-mt-unsafe)
  return pinned_isa(pin == nullptr ? "" : pin, detect_isa());
}

std::string_view cpu_name() noexcept {
  static const std::string kName = ask_name();
  return kName;
}

}  // namespace intact
