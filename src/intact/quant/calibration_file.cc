#include "quant/calibration_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/atomic_file.h"

namespace intact {

Result<CalibrationFile> read_calibration(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return fail(ErrorCode::kIo,
                fmt::format("cannot read calibration file '{}': {}", path, std::strerror(errno)));
  }
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) return fail(ErrorCode::kIo, fmt::format("reading '{}' failed", path));
  auto file = parse_calibration(text);
  if (!file) return fail(std::move(file).error().with_context(path));
  return file;
}

Status write_calibration(const std::string& path, const CalibrationFile& file) {
  return write_file(path, to_text(file));
}

}  // namespace intact
