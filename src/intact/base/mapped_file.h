// mapped_file.h: a file as memory.
//
// The pages are the system's: read when they are touched, shared by all processes that map the same
// file, and given back at will. The file must not shrink while it is mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/buffer.h"

namespace intact {

class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  // Maps an open file of that many bytes, which may be closed afterwards. Null when the system
  // refuses, with errno saying why.
  static std::shared_ptr<MappedFile> map(int fd, std::uint64_t bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return memory_; }

  // A part of it, which keeps all of it. Nobody may write there. Requires a part inside.
  [[nodiscard]] std::shared_ptr<Buffer> part(std::uint64_t offset, std::uint64_t bytes);

 private:
  explicit MappedFile(std::span<std::byte> memory) : memory_(memory) {}
  std::span<std::byte> memory_;
};

}  // namespace intact
