// buffer.h: bytes that tensors share: owned, or somebody else's kept alive.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace intact {

inline constexpr std::size_t kAlignBytes = 64;
// Kernels may read this far past the last element of memory that intact owns.
inline constexpr std::size_t kSlackBytes = 64;

class Buffer {
 public:
  // Returns zeroed memory, aligned to kAlignBytes, with kSlackBytes behind it.
  static std::shared_ptr<Buffer> allocate(std::size_t bytes);

  // Wraps foreign memory; `owner` is released with the buffer. It has no slack.
  static std::shared_ptr<Buffer> wrap(std::span<std::byte> memory, std::shared_ptr<void> owner);

  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return memory_.data(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return memory_.size(); }
  [[nodiscard]] bool has_slack() const noexcept { return has_slack_; }

 private:
  Buffer(std::span<std::byte> memory, std::shared_ptr<void> owner, bool has_slack)
      : memory_(memory), owner_(std::move(owner)), has_slack_(has_slack) {}

  std::span<std::byte> memory_;
  std::shared_ptr<void> owner_;
  bool has_slack_;
};

}  // namespace intact
