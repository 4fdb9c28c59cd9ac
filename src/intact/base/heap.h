// heap.h: what the heap has kept of freed blocks.
#pragma once

namespace intact {

// Gives it back to the system, where the heap can (glibc's, in well under a millisecond).
void trim_heap() noexcept;

}  // namespace intact
