// atomic_file.h: a file that appears whole or not at all.
//
// The bytes go to an unnamed file in the target's folder; commit() flushes it to the disk and puts
// it in the target's place in one step. When the program stops before that, for whatever reason,
// the target is as it was. Where the file system has no unnamed files a hidden one with a random
// name is used, which only a kill can leave behind.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "intact/result.h"

namespace intact {

class AtomicFile {
 public:
  // Starts a file that will be at `path`. A symbolic link is followed; something that is no regular
  // file (/dev/stdout, a pipe) is written directly. Errors: kIo, naming path and reason.
  static Result<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  // Appends bytes. Errors: kIo (full disk, ...); then the target stays as it was.
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

  // Makes what was written durable without showing it yet, so that several files can then be
  // committed with little left to fail. commit() does this too.
  Status flush();
  // Puts the file in place. At most once.
  Status commit();

 private:
  AtomicFile(std::string path, std::string temporary, int fd, bool direct)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd), direct_(direct) {}
  [[nodiscard]] tl::unexpected<Error> failed(int error) const;

  std::string path_;
  std::string temporary_;  // Empty while the file has no name.
  int fd_;
  bool direct_;
};

// The same for bytes at hand.
Status write_file(const std::string& path, std::string_view bytes);

}  // namespace intact
