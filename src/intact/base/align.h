// align.h: sizes in multiples of the alignment that kernels want.
#pragma once

#include <cstddef>

#include "base/buffer.h"

namespace intact {

// Returns the least multiple of kAlignBytes that is not below `bytes`.
[[nodiscard]] constexpr std::size_t align_up(std::size_t bytes) noexcept {
  return (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes;
}

}  // namespace intact
