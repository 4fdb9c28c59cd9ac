#include "base/fp_env.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace intact {

#if defined(__x86_64__)
ScopedFpEnv::ScopedFpEnv() noexcept : saved_(_mm_getcsr()) {
  // 0x1F80: all exceptions masked, round to nearest, FTZ and DAZ off.
  _mm_setcsr(0x1F80);
}
ScopedFpEnv::~ScopedFpEnv() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
ScopedFpEnv::ScopedFpEnv() noexcept : saved_(0) {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
}
ScopedFpEnv::~ScopedFpEnv() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
ScopedFpEnv::ScopedFpEnv() noexcept : saved_(0) {}
ScopedFpEnv::~ScopedFpEnv() = default;
#endif

}  // namespace intact
