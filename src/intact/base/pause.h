// pause.h: what a thread does between two looks at memory that another one will write.
#pragma once

namespace intact {

inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

}  // namespace intact
