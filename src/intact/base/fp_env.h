// fp_env.h: the floating-point environment in which results are defined.
//
// numerics.md, "Float regions": round to nearest even, no flush-to-zero, no denormals-are-zero.
// Every entry into the engine and every worker thread holds one of these; the caller's state comes
// back when it ends.
#pragma once

#include <cstdint>

namespace intact {

class ScopedFpEnv {
 public:
  ScopedFpEnv() noexcept;
  ~ScopedFpEnv();
  ScopedFpEnv(const ScopedFpEnv&) = delete;
  ScopedFpEnv& operator=(const ScopedFpEnv&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace intact
