// temp_file.h: an unlinked file for what has to wait outside of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "intact/result.h"

namespace intact {

// Reads and writes may come from several threads.
class TempFile {
 public:
  // The file lies in $TMPDIR or /tmp and has no name. Errors: kIo.
  static Result<TempFile> create();
  TempFile(TempFile&& other) noexcept;
  TempFile& operator=(TempFile&&) = delete;
  ~TempFile();

  // Errors: kIo (full disk).
  Status write(std::int64_t offset, std::span<const std::byte> bytes) const;
  // Requires bytes that were written. Errors: kIo.
  Status read(std::int64_t offset, std::span<std::byte> bytes) const;

 private:
  explicit TempFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace intact
