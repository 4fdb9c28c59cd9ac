#include "calib/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace intact {
namespace {

tl::unexpected<Error> failed(std::string_view what) {
  return fail(ErrorCode::kIo,
              fmt::format("temporary file: cannot {}: {} (TMPDIR chooses the folder)", what,
                          std::strerror(errno)));
}

}  // namespace

Result<TensorSpool> TensorSpool::create() {
  const char* chosen = std::getenv("TMPDIR");
  const std::string folder = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  std::string path = folder + "/intact-XXXXXX";
  const int fd = ::mkstemp(path.data());
  if (fd < 0) return failed("create it in " + folder);
  ::unlink(path.c_str());
  return TensorSpool(fd);
}

TensorSpool::TensorSpool(TensorSpool&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      end_(other.end_),
      entries_(std::move(other.entries_)),
      free_(std::move(other.free_)) {}

TensorSpool::~TensorSpool() {
  if (fd_ >= 0) ::close(fd_);
}

Status TensorSpool::put(std::int64_t key, const Tensor& tensor) {
  drop(key);
  const std::size_t bytes = tensor.bytes();
  std::int64_t offset = end_;
  if (auto& places = free_[bytes]; !places.empty()) {
    offset = places.back();
    places.pop_back();
  } else {
    end_ += static_cast<std::int64_t>(bytes);
  }
  for (std::size_t done = 0; done < bytes;) {
    const auto n =
        ::pwrite(fd_, tensor.raw() + done, bytes - done, offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write");
    done += static_cast<std::size_t>(n);
  }
  entries_[key] = {tensor.dtype(), tensor.shape(), offset};
  return {};
}

Result<Tensor> TensorSpool::get(std::int64_t key) const {
  const Entry& entry = entries_.at(key);
  Tensor t(entry.dtype, entry.shape);
  for (std::size_t done = 0; done < t.bytes();) {
    const auto n = ::pread(fd_, t.raw() + done, t.bytes() - done,
                           entry.offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("read");
    done += static_cast<std::size_t>(n);
  }
  return t;
}

void TensorSpool::drop(std::int64_t key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  free_[bytes_of(it->second.dtype, num_elements(it->second.shape))].push_back(it->second.offset);
  entries_.erase(it);
}

}  // namespace intact
