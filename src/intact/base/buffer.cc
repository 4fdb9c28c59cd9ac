#include "base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace intact {

std::shared_ptr<Buffer> Buffer::allocate(std::size_t bytes) {
  const std::size_t total = (bytes + kSlackBytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes;
  // Large buffers take large pages where the system gives them: activations of some megabytes are
  // walked in strides, and would miss the TLB at every step.
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const bool huge = total >= kHugePage;
  void* memory = std::aligned_alloc(huge ? kHugePage : kAlignBytes, total);
  if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (huge) madvise(memory, total / kHugePage * kHugePage, MADV_HUGEPAGE);  // A hint: may fail.
#endif
  std::memset(memory, 0, total);
  std::shared_ptr<void> owner(memory, [](void* p) { std::free(p); });
  return std::shared_ptr<Buffer>(
      new Buffer({static_cast<std::byte*>(memory), bytes}, std::move(owner), /*has_slack=*/true));
}

std::shared_ptr<Buffer> Buffer::wrap(std::span<std::byte> memory, std::shared_ptr<void> owner) {
  return std::shared_ptr<Buffer>(new Buffer(memory, std::move(owner), /*has_slack=*/false));
}

}  // namespace intact
