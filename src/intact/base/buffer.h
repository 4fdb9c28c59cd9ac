// buffer.h: bytes that tensors share: owned, or somebody else's kept alive.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

namespace intact {

inline constexpr std::size_t kAlignBytes = 64;
// Kernels may read this far past the last element of memory that intact owns.
inline constexpr std::size_t kSlackBytes = 64;

class Buffer {
 public:
  // Returns zeroed memory, aligned to kAlignBytes, with kSlackBytes behind it.
  static std::shared_ptr<Buffer> allocate(std::size_t bytes);

  // The same, but only the slack is zeroed: for memory that is written before it is read.
  static std::shared_ptr<Buffer> allocate_uninitialized(std::size_t bytes);

  // Zeroed, for what lives long: of a large buffer the pages that nobody touches take no memory,
  // and all go back to the system in the end (page_vector.h).
  static std::shared_ptr<Buffer> allocate_pages(std::size_t bytes);

  // Wraps foreign memory; `owner` is released with the buffer. It has no slack.
  static std::shared_ptr<Buffer> wrap(std::span<std::byte> memory, std::shared_ptr<void> owner);

  // Wraps a part of a read-only mapping of a file (mapped_file.h).
  static std::shared_ptr<Buffer> wrap_mapping(std::span<std::byte> memory,
                                              std::shared_ptr<void> owner);

  // Wraps bytes at an address where their elements may not lie. data() is a copy then, made when it
  // is first asked for.
  static std::shared_ptr<Buffer> wrap_misaligned(std::shared_ptr<Buffer> bytes);

  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] std::byte* data() const {
    return kind_ == Kind::kMisaligned ? copy().data() : memory_.data();
  }
  // The bytes where they lie, at any address; nothing is copied.
  [[nodiscard]] std::span<const std::byte> stored() const noexcept { return memory_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return memory_.size(); }
  [[nodiscard]] bool has_slack() const noexcept { return kind_ == Kind::kOwned; }
  // True for a part of a file, which all processes that map it share.
  [[nodiscard]] bool is_mapping() const noexcept { return kind_ == Kind::kMapping; }

  // True where data() is or would be a copy, and where it is one already.
  [[nodiscard]] bool is_misaligned() const noexcept { return kind_ == Kind::kMisaligned; }
  [[nodiscard]] bool is_copied() const noexcept { return copied_.load(); }

  // Gives the pages of a mapped file back; they are read again when they are touched. Does nothing
  // to other memory.
  void drop_pages() const noexcept;

 private:
  enum class Kind : std::uint8_t { kOwned, kForeign, kMapping, kMisaligned };

  Buffer(std::span<std::byte> memory, std::shared_ptr<void> owner, Kind kind)
      : memory_(memory), owner_(std::move(owner)), kind_(kind) {}

  const Buffer& copy() const;

  std::span<std::byte> memory_;
  std::shared_ptr<void> owner_;
  Kind kind_;
  mutable std::once_flag once_;
  mutable std::atomic<bool> copied_{false};
  mutable std::shared_ptr<Buffer> copy_;
};

}  // namespace intact
