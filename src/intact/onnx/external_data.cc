#include "onnx/external_data.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "ir/text.h"
#include "onnx/lift_payloads.h"

namespace intact {
namespace {

namespace fs = std::filesystem;

// True when `path` lies in `folder` or below; both without links and dots.
bool is_inside(const fs::path& folder, const fs::path& path) {
  auto part = path.begin();
  for (const fs::path& wanted : folder) {
    if (wanted.empty()) continue;  // A slash at the end.
    if (part == path.end() || *part != wanted) return false;
    ++part;
  }
  return true;
}

}  // namespace

ExternalData::ExternalData(std::string folder, std::shared_ptr<MappedFile> model)
    : folder_(std::move(folder)) {
  if (model != nullptr) files_.emplace(kThisFile, std::move(model));
}

Result<std::shared_ptr<MappedFile>> ExternalData::open_file(const std::string& location) {
  if (const auto it = files_.find(location); it != files_.end()) return it->second;
  const std::string name = printable(location);
  const fs::path relative(location);
  if (folder_.empty())
    return fail(ErrorCode::kInvalidModel,
                fmt::format("its data is in the file '{}', but a model that is given as bytes has "
                            "no folder to look in; open it by path",
                            name));
  bool goes_up =
      location.empty() || location.find('\0') != std::string::npos || relative.is_absolute();
  for (const fs::path& part : relative) goes_up |= part == "..";
  if (goes_up)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("its data is in the file '{}', which is not a path below the model's "
                            "folder; move the file there",
                            name));
  std::error_code error;
  const fs::path folder = fs::canonical(folder_, error);
  const fs::path path = error ? fs::path() : fs::canonical(folder / relative, error);
  if (error)
    return fail(ErrorCode::kIo,
                fmt::format("its data is in the file '{}' beside the model, which cannot be "
                            "opened: {}",
                            name, error.message()));
  if (!is_inside(folder, path))
    return fail(ErrorCode::kInvalidModel,
                fmt::format("its data is in the file '{}', a link out of the model's folder; put a "
                            "copy of the file there",
                            name));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat info {};
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    const int why = fd < 0 ? errno : S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
    if (fd >= 0) close(fd);
    return fail(ErrorCode::kIo,
                fmt::format("its data is in the file '{}', which cannot be read: {}", name,
                            std::generic_category().message(why)));
  }
  const auto file = MappedFile::map(fd, static_cast<std::uint64_t>(info.st_size));
  const int why = errno;
  close(fd);
  if (file == nullptr)
    return fail(ErrorCode::kIo,
                fmt::format("its data is in the file '{}', which cannot be mapped: {}", name,
                            std::generic_category().message(why)));
  files_.emplace(location, file);
  return file;
}

Result<std::shared_ptr<Buffer>> ExternalData::map(const Place& place) {
  INTACT_ASSIGN(const std::shared_ptr<MappedFile> file, open_file(place.location));
  const std::uint64_t bytes = file->bytes().size();
  if (place.offset > bytes || place.bytes > bytes - place.offset)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("its data is {} bytes from offset {} of the file '{}', which has only "
                            "{} bytes",
                            place.bytes, place.offset, printable(place.location), bytes));
  return file->part(place.offset, place.bytes);
}

}  // namespace intact
