#include "calib/temp_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace intact {
namespace {

tl::unexpected<Error> failed(std::string_view what) {
  return fail(ErrorCode::kIo,
              fmt::format("temporary file: cannot {}: {} (TMPDIR chooses the folder)", what,
                          std::strerror(errno)));
}

}  // namespace

Result<TempFile> TempFile::create() {
  const char* chosen = std::getenv("TMPDIR");
  const std::string folder = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  std::string path = folder + "/intact-XXXXXX";
  const int fd = ::mkstemp(path.data());
  if (fd < 0) return failed("create it in " + folder);
  ::unlink(path.c_str());
  return TempFile(fd);
}

TempFile::TempFile(TempFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

TempFile::~TempFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status TempFile::write(std::int64_t offset, std::span<const std::byte> bytes) const {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                            offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write");
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Status TempFile::read(std::int64_t offset, std::span<std::byte> bytes) const {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::pread(fd_, bytes.data() + done, bytes.size() - done,
                           offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("read");
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace intact
