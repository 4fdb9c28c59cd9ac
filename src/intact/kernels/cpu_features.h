// cpu_features.h: what this processor can execute, as one ordered level.
//
// A level is a promise about instructions, not a product name. Levels of one processor family form
// a tree; a machine of some level runs every kernel of that level and of the levels below it:
//
//   scalar < avx2 < avxvnni                             scalar < neon < neondot
//   scalar < avx2 < avx512 < avx512dot < avx512vnni
#pragma once

#include <cstdint>
#include <string_view>

#include "intact/result.h"

namespace intact {

enum class IsaLevel : std::uint8_t {
  kScalar,      // Standard C++, whatever the compiler's baseline.
  kAvx2,        // AVX2, FMA, F16C.
  kAvxVnni,     // kAvx2 and the 256-bit VEX form of VNNI.
  kAvx512,      // kAvx2 and AVX-512 F, BW, VL, DQ.
  kAvx512Dot,   // kAvx512 and VNNI.
  kAvx512Vnni,  // kAvx512Dot and VBMI.
  kNeon,        // ARMv8.0 Advanced SIMD.
  kNeonDot,     // ARMv8.2 dot product and half precision.
};

// Returns "scalar", "avx2", "avxvnni", "avx512", "avx512dot", "avx512vnni", "neon" or "neondot".
std::string_view name_of(IsaLevel isa) noexcept;

// Returns true when a machine of level `machine` executes kernels of level `kernel`.
bool isa_covers(IsaLevel machine, IsaLevel kernel) noexcept;

// Returns the best level of this processor and operating system (asked once a process).
IsaLevel detect_isa() noexcept;

// Returns the level named by `pin`, or `detected` when pin is empty.
// Errors: kInvalidArgument when the name is unknown or `detected` does not cover it.
Result<IsaLevel> pinned_isa(std::string_view pin, IsaLevel detected);

// Returns pinned_isa($INTACT_ISA, detect_isa()): what a session uses unless told otherwise.
Result<IsaLevel> host_isa();

// Returns the processor's own name, e.g. "AMD EPYC 9R14", or "unknown".
std::string_view cpu_name() noexcept;

}  // namespace intact
