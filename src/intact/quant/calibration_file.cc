#include "quant/calibration_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace intact {
namespace {

// Writes all of text and closes fd. Returns false with errno set.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int reason = errno;
      ::close(fd);
      errno = reason;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  const bool synced = ::fsync(fd) == 0 || errno == EINVAL || errno == EROFS;  // Not a disk file.
  const int reason = errno;
  const bool closed = ::close(fd) == 0;
  if (!synced) errno = reason;
  return synced && closed;
}

}  // namespace

Result<CalibrationFile> read_calibration(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return fail(ErrorCode::kIo,
                fmt::format("cannot read calibration file '{}': {}", path, std::strerror(errno)));
  }
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) return fail(ErrorCode::kIo, fmt::format("reading '{}' failed", path));
  auto file = parse_calibration(text);
  if (!file) return fail(std::move(file).error().with_context(path));
  return file;
}

Status write_calibration(const std::string& path, const CalibrationFile& file) {
  const std::string text = to_text(file);
  const auto broken = [&](const char* what) {
    return fail(ErrorCode::kIo, fmt::format("cannot {} calibration file '{}': {}", what, path,
                                            std::strerror(errno)));
  };
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    // A device or a pipe is written, never replaced.
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return broken("open");
    if (!write_all(fd, text)) return broken("write");
    return {};
  }
  // A file of its own beside the target, on disk before it takes the name.
  const std::string draft = fmt::format("{}.{}.tmp", path, ::getpid());
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return broken("create");
  const bool written = write_all(fd, text);
  if (!written || std::rename(draft.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(draft.c_str());
    errno = reason;
    return broken(written ? "rename" : "write");
  }
  return {};
}

}  // namespace intact
