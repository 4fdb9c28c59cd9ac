#include "base/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/align.h"
#include "base/page_vector.h"

namespace intact {

std::shared_ptr<Buffer> Buffer::allocate(std::size_t bytes) {
  auto buffer = allocate_uninitialized(bytes);
  std::memset(buffer->data(), 0, bytes);
  return buffer;
}

std::shared_ptr<Buffer> Buffer::allocate_uninitialized(std::size_t bytes) {
  const std::size_t total = align_up(bytes + kSlackBytes);
  // Large buffers take large pages where the system gives them: activations of some megabytes are
  // walked in strides, and would miss the TLB at every step.
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const bool huge = total >= kHugePage;
  void* block = nullptr;
  if (huge) {
    if (posix_memalign(&block, kHugePage, total) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    madvise(block, total / kHugePage * kHugePage, MADV_HUGEPAGE);  // A hint: may fail.
#endif
  } else if (block = std::malloc(total + kAlignBytes - 1); block == nullptr) {
    // Not by posix_memalign: what it cuts off both ends keeps glibc from taking the same block for
    // the same size again, and the results of a run would be elsewhere each time.
    throw std::bad_alloc();
  }
  auto* memory =
      static_cast<std::byte*>(block) +
      (align_up(reinterpret_cast<std::uintptr_t>(block)) - reinterpret_cast<std::uintptr_t>(block));
  std::memset(memory + bytes, 0, total - bytes);
  std::shared_ptr<void> owner(block, [](void* p) { std::free(p); });
  return std::shared_ptr<Buffer>(new Buffer({memory, bytes}, std::move(owner), Kind::kOwned));
}

std::shared_ptr<Buffer> Buffer::allocate_pages(std::size_t bytes) {
  const std::size_t total = align_up(bytes + kSlackBytes);
  auto* memory = static_cast<std::byte*>(take_pages(total, Touch::kLater));
  std::shared_ptr<void> owner(memory, [total](void* p) { give_pages(p, total); });
  return std::shared_ptr<Buffer>(new Buffer({memory, bytes}, std::move(owner), Kind::kOwned));
}

std::shared_ptr<Buffer> Buffer::wrap(std::span<std::byte> memory, std::shared_ptr<void> owner) {
  return std::shared_ptr<Buffer>(new Buffer(memory, std::move(owner), Kind::kForeign));
}

std::shared_ptr<Buffer> Buffer::wrap_mapping(std::span<std::byte> memory,
                                             std::shared_ptr<void> owner) {
  return std::shared_ptr<Buffer>(new Buffer(memory, std::move(owner), Kind::kMapping));
}

std::shared_ptr<Buffer> Buffer::wrap_misaligned(std::shared_ptr<Buffer> bytes) {
  const std::span<std::byte> memory = bytes->memory_;
  return std::shared_ptr<Buffer>(new Buffer(memory, std::move(bytes), Kind::kMisaligned));
}

const Buffer& Buffer::copy() const {
  std::call_once(once_, [this] {
    copy_ = allocate_uninitialized(bytes());
    std::memcpy(copy_->data(), memory_.data(), bytes());
    copied_ = true;
  });
  return *copy_;
}

void Buffer::drop_pages() const noexcept {
  if (kind_ == Kind::kMisaligned) return static_cast<const Buffer*>(owner_.get())->drop_pages();
  if (kind_ != Kind::kMapping || memory_.empty()) return;
  // Whole pages: nothing in a read-only mapping is lost with a neighbour.
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(memory_.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(memory_.data() + memory_.size());
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace intact
