#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace intact {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A hidden name beside `path` that nothing has yet, most likely.
std::string temporary_name(const std::string& path) {
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random)))
    random = static_cast<std::uint64_t>(getpid());
  const auto slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return fmt::format("{}/.{}.{:016x}", folder_of(path), file.substr(0, 100), random);
}

std::string reason(int error) {
  if (error == ENOSPC || error == EDQUOT) return "the disk is full";
  char text[256];
  return strerror_r(error, text, sizeof(text));  // GNU's: returns the text.
}

tl::unexpected<Error> cannot_write(const std::string& path, int error) {
  return fail(ErrorCode::kIo, fmt::format("cannot write {}: {}", path, reason(error)));
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  struct stat info {};
  const bool exists = stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) return cannot_write(path, EISDIR);
  if (exists && !S_ISREG(info.st_mode)) {
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return cannot_write(path, errno);
    return AtomicFile(path, {}, fd, /*direct=*/true);
  }
  // A file that its owner made read-only is not replaced behind their back.
  if (exists && access(path.c_str(), W_OK) != 0) return cannot_write(path, errno);
  const std::string target = exists ? real_path(path) : path;
  const mode_t mode = exists ? info.st_mode & 0777U : 0666U;
  const std::string folder = folder_of(target);
  int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (fd >= 0) return AtomicFile(target, {}, fd, /*direct=*/false);
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
    return cannot_write(path, errno);
  std::string temporary = temporary_name(target);
  fd = open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
  if (fd < 0) return cannot_write(path, errno);
  return AtomicFile(target, std::move(temporary), fd, /*direct=*/false);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      direct_(other.direct_) {
  other.temporary_.clear();
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

tl::unexpected<Error> AtomicFile::failed(int error) const { return cannot_write(path_, error); }

Status AtomicFile::write(std::span<const std::byte> bytes) {
  constexpr std::size_t kMaxPiece = std::size_t{1} << 30;  // One write takes less than 2 GiB.
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxPiece));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Status AtomicFile::flush() {
  if (direct_) return {};
  if (fsync(fd_) != 0) return failed(errno);
  return {};
}

Status AtomicFile::commit() {
  if (direct_) return {};
  INTACT_TRY(flush());
  if (temporary_.empty()) {
    // An unnamed file cannot replace one with a name: it gets a hidden name first.
    const std::string self = fmt::format("/proc/self/fd/{}", fd_);
    std::string name = temporary_name(path_);
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return failed(errno);
    temporary_ = std::move(name);
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return failed(errno);
  temporary_.clear();
  // The folder's entry too; not every file system can, and the file is complete in any case.
  const int folder = open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return {};
}

Status write_file(const std::string& path, std::string_view bytes) {
  INTACT_ASSIGN(AtomicFile file, AtomicFile::create(path));
  INTACT_TRY(file.write(bytes));
  return file.commit();
}

}  // namespace intact
