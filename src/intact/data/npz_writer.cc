#include "data/npz_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "data/npy.h"

namespace intact {
namespace {

// Room for a header of 16 dimensions of 13 digits; the row count is known only at the end.
constexpr std::size_t kHeaderBytes = 384;

Error io_error(const std::string& path, std::string_view what) {
  return {ErrorCode::kIo, fmt::format("cannot write {}: {}", path, what), {}};
}

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, FileCloser>;

// A file that has no name from the start, so that nothing is left behind, whatever happens.
Result<FilePtr> spool_beside(const std::string& path) {
  std::string name = path + ".part.XXXXXX";
  const int fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return fail(io_error(path, std::strerror(errno)));
  unlink(name.c_str());
  FilePtr file(fdopen(fd, "w+b"));
  if (file == nullptr) {
    const int code = errno;
    close(fd);
    return fail(io_error(path, std::strerror(code)));
  }
  return file;
}

struct Spool {
  std::string name;
  Dtype dtype;
  Shape shape;  // shape[0] grows.
  bool scalar_rows;
  FilePtr file;
};

}  // namespace

struct NpzWriter::State {
  std::string path;
  std::vector<Spool> spools;
  bool whole_arrays = false;  // Scalars are scalars, not rows.
};

NpzWriter::NpzWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
NpzWriter::NpzWriter(NpzWriter&&) noexcept = default;
NpzWriter& NpzWriter::operator=(NpzWriter&&) noexcept = default;
NpzWriter::~NpzWriter() = default;

Result<NpzWriter> NpzWriter::create(std::string path) {
  // Learn now, not after hours of work, that the folder cannot be written.
  INTACT_ASSIGN(const FilePtr probe, spool_beside(path));
  auto state = std::make_unique<State>();
  state->path = std::move(path);
  return NpzWriter(std::move(state));
}

Status NpzWriter::append(std::string_view name, const Tensor& rows) {
  INTACT_CHECK(state_ != nullptr, "append after finish");
  if (!npy_has(rows.dtype()))
    return fail(ErrorCode::kUnsupported,
                fmt::format("'{}' is {}, which numpy does not have", name, name_of(rows.dtype())));
  Shape shape = rows.rank() == 0 ? Shape{1} : rows.shape();
  Spool* spool = nullptr;
  for (Spool& s : state_->spools)
    if (s.name == name) spool = &s;
  if (spool == nullptr) {
    INTACT_ASSIGN(FilePtr file, spool_beside(state_->path));
    const std::string gap(kHeaderBytes, '\0');
    if (std::fwrite(gap.data(), 1, gap.size(), file.get()) != gap.size())
      return fail(io_error(state_->path, std::strerror(errno)));
    state_->spools.push_back(
        {std::string(name), rows.dtype(), shape, rows.rank() == 0, std::move(file)});
    spool = &state_->spools.back();
    spool->shape[0] = 0;
  }
  const bool same_rows =
      std::equal(shape.begin() + 1, shape.end(), spool->shape.begin() + 1, spool->shape.end());
  if (rows.dtype() != spool->dtype || !same_rows || spool->scalar_rows != (rows.rank() == 0)) {
    Shape before = spool->shape;
    before[0] = shape[0];
    return fail(ErrorCode::kDataMismatch,
                fmt::format("'{}' was {} {} and is now {} {}: an .npz array has one row shape; "
                            "write one file a sample instead (give a folder)",
                            name, name_of(spool->dtype), to_string(before), name_of(rows.dtype()),
                            to_string(rows.shape())));
  }
  if (rows.bytes() > 0 &&
      std::fwrite(rows.raw(), 1, rows.bytes(), spool->file.get()) != rows.bytes())
    return fail(io_error(state_->path, std::strerror(errno)));
  spool->shape[0] += shape[0];
  return {};
}

Status NpzWriter::finish() {
  INTACT_CHECK(state_ != nullptr, "finish twice");
  const std::unique_ptr<State> state = std::move(state_);
  if (state->spools.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("there is nothing to write to {}", state->path));
  int code = 0;
  zip_t* zip = zip_open(state->path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (zip == nullptr) return fail(io_error(state->path, "the archive cannot be created"));
  for (Spool& spool : state->spools) {
    if (spool.scalar_rows && state->whole_arrays) spool.shape.clear();
    const std::string header = format_npy_header(spool.dtype, spool.shape, kHeaderBytes);
    INTACT_CHECK(header.size() == kHeaderBytes, "a header of {} bytes", header.size());
    std::FILE* file = spool.file.get();
    if (std::fseek(file, 0, SEEK_SET) != 0 ||
        std::fwrite(header.data(), 1, header.size(), file) != header.size() ||
        std::fseek(file, 0, SEEK_SET) != 0) {  // libzip reads from where the file stands.
      const int cause = errno;
      zip_discard(zip);
      return fail(io_error(state->path, std::strerror(cause)));
    }
    zip_source_t* source = zip_source_filep(zip, file, 0, -1);
    if (source != nullptr) static_cast<void>(spool.file.release());  // The source closes it.
    const zip_int64_t entry = source == nullptr ? -1
                                                : zip_file_add(zip, (spool.name + ".npy").c_str(),
                                                               source, ZIP_FL_ENC_UTF_8);
    if (entry < 0) {
      const std::string cause = zip_strerror(zip);
      if (source != nullptr) zip_source_free(source);
      zip_discard(zip);
      return fail(io_error(state->path, cause));
    }
    const auto at = static_cast<zip_uint64_t>(entry);
    zip_set_file_compression(zip, at, ZIP_CM_STORE, 0);
    zip_file_set_dostime(zip, at, 0, (1 << 5) | 1, 0);  // 1980-01-01, the format's first day.
  }
  if (zip_close(zip) != 0) {  // It writes a temporary file and renames it.
    const std::string cause = zip_strerror(zip);
    zip_discard(zip);
    return fail(io_error(state->path, cause));
  }
  return {};
}

Status write_npz(const std::string& path, std::span<const NamedTensor> arrays) {
  INTACT_ASSIGN(NpzWriter writer, NpzWriter::create(path));
  writer.state_->whole_arrays = true;
  for (const auto& [name, array] : arrays) INTACT_TRY(writer.append(name, array));
  return writer.finish();
}

}  // namespace intact
