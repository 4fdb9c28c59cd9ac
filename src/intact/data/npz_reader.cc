#include "data/npz_reader.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/check.h"

namespace intact {

struct NpzReader::Archive {
  explicit Archive(zip_t* z) : zip(z) {}
  ~Archive() { zip_discard(zip); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  zip_t* zip;
};

namespace {

auto corrupt(std::string message) { return fail(ErrorCode::kInvalidArgument, std::move(message)); }

class FileSource final : public ByteSource {
 public:
  static Result<std::unique_ptr<ByteSource>> open(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr)
      return fail(ErrorCode::kIo, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    auto source = std::unique_ptr<FileSource>(new FileSource(file));
    if (fseeko(file, 0, SEEK_END) != 0 || ftello(file) < 0)
      return fail(ErrorCode::kIo, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    source->size_ = static_cast<std::uint64_t>(ftello(file));
    return source;
  }
  ~FileSource() override { std::fclose(file_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
  Status read_at(std::uint64_t offset, std::span<std::byte> out) override {
    if (out.empty()) return {};
    if (fseeko(file_, static_cast<off_t>(offset), SEEK_SET) != 0 ||
        std::fread(out.data(), 1, out.size(), file_) != out.size())
      return fail(ErrorCode::kIo, "the file changed or could not be read to its end");
    return {};
  }

 private:
  explicit FileSource(std::FILE* file) : file_(file) {}
  std::FILE* file_;
  std::uint64_t size_ = 0;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
  Status read_at(std::uint64_t offset, std::span<std::byte> out) override {
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
};

// An entry of the archive. Stored entries seek; deflated ones are read forward, and a step back
// opens them again.
class ZipSource final : public ByteSource {
 public:
  ZipSource(std::shared_ptr<NpzReader::Archive> archive, zip_uint64_t entry, std::uint64_t size,
            bool stored)
      : archive_(std::move(archive)), entry_(entry), size_(size), stored_(stored) {}
  ~ZipSource() override {
    if (file_ != nullptr) zip_fclose(file_);
  }
  ZipSource(const ZipSource&) = delete;
  ZipSource& operator=(const ZipSource&) = delete;

  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }

  Status read_at(std::uint64_t offset, std::span<std::byte> out) override {
    if (out.empty()) return {};
    INTACT_TRY(move_to(offset));
    return read(out);
  }

 private:
  Status move_to(std::uint64_t offset) {
    if (file_ != nullptr && offset == at_) return {};
    if (file_ != nullptr && stored_) {
      if (zip_fseek(file_, static_cast<zip_int64_t>(offset), SEEK_SET) == 0) {
        at_ = offset;
        return {};
      }
      return corrupt(fmt::format("the archive is corrupt ({})", zip_file_strerror(file_)));
    }
    if (file_ == nullptr || offset < at_) {
      if (file_ != nullptr) zip_fclose(file_);
      at_ = 0;
      file_ = zip_fopen_index(archive_->zip, entry_, 0);
      if (file_ == nullptr)
        return corrupt(fmt::format("the archive is corrupt ({})", zip_strerror(archive_->zip)));
      if (stored_ && offset > 0) return move_to(offset);
    }
    std::array<std::byte, 16384> skipped;
    while (at_ < offset) {
      const std::size_t step = std::min<std::uint64_t>(skipped.size(), offset - at_);
      INTACT_TRY(read(std::span(skipped).first(step)));
    }
    return {};
  }

  Status read(std::span<std::byte> out) {
    while (!out.empty()) {
      const zip_int64_t got = zip_fread(file_, out.data(), out.size());
      if (got <= 0)
        return corrupt(fmt::format("the archive is corrupt or cut short ({})",
                                   got < 0 ? zip_file_strerror(file_) : "end of data"));
      at_ += static_cast<std::uint64_t>(got);
      out = out.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

  std::shared_ptr<NpzReader::Archive> archive_;
  zip_uint64_t entry_;
  std::uint64_t size_;
  bool stored_;
  zip_file_t* file_ = nullptr;
  std::uint64_t at_ = 0;
};

void append_utf8(std::uint32_t c, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

std::string zip_message(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string message = zip_error_strerror(&error);
  zip_error_fini(&error);
  return message;
}

}  // namespace

Result<ArrayReader> ArrayReader::open(std::unique_ptr<ByteSource> source) {
  std::array<std::byte, 12> start{};
  if (source->size() < start.size()) return corrupt("the array is shorter than a .npy header");
  INTACT_TRY(source->read_at(0, start));
  INTACT_ASSIGN(const std::size_t header_bytes, npy_header_bytes(start));
  if (header_bytes > source->size()) return corrupt("the .npy header is cut short");
  std::vector<std::byte> bytes(header_bytes);
  INTACT_TRY(source->read_at(0, bytes));
  INTACT_ASSIGN(NpyHeader header, parse_npy_header(bytes));
  const std::uint64_t have = source->size() - header.data_offset;
  if (have != header.data_bytes())
    return corrupt(
        fmt::format("the array promises {} bytes of values and has {}; was it cut short?",
                    header.data_bytes(), have));
  return ArrayReader(std::move(source), std::move(header));
}

Result<Tensor> ArrayReader::read(Shape shape, std::uint64_t offset, BufferPool& pool) {
  INTACT_CHECK(header_.dtype != Dtype::kUndefined, "a text array read as numbers");
  Tensor t = pool.tensor(header_.dtype, std::move(shape));
  const std::span<std::byte> bytes(t.raw(), t.bytes());
  INTACT_TRY(source_->read_at(header_.data_offset + offset, bytes));
  if (header_.dtype == Dtype::kBool)
    for (std::byte& b : bytes) b = b == std::byte{0} ? std::byte{0} : std::byte{1};
  return t;
}

Result<Tensor> ArrayReader::read_rows(std::int64_t first, std::int64_t count) {
  INTACT_CHECK(
      !header_.shape.empty() && first >= 0 && count >= 0 && first <= header_.shape[0] - count,
      "rows [{}, {}) of {}", first, first + count, to_string(header_.shape));
  Shape shape = header_.shape;
  shape[0] = 1;
  const std::uint64_t row_bytes =
      header_.data_bytes() == 0
          ? 0
          : static_cast<std::uint64_t>(num_elements(shape)) * header_.element_bytes();
  shape[0] = count;
  return read(std::move(shape), static_cast<std::uint64_t>(first) * row_bytes, pool_);
}

Result<Tensor> ArrayReader::read_all(BufferPool* pool) {
  return read(header_.shape, 0, pool == nullptr ? pool_ : *pool);
}

Result<std::string> ArrayReader::read_text(std::int64_t index) {
  INTACT_CHECK(header_.text_chars > 0 && index >= 0 && index < num_elements(header_.shape),
               "text {} of {}", index, to_string(header_.shape));
  std::vector<std::uint32_t> chars(static_cast<std::size_t>(header_.text_chars));
  INTACT_TRY(source_->read_at(
      header_.data_offset + static_cast<std::uint64_t>(index) * header_.element_bytes(),
      std::as_writable_bytes(std::span(chars))));
  while (!chars.empty() && chars.back() == 0) chars.pop_back();
  std::string out;
  for (const std::uint32_t c : chars) append_utf8(c, out);
  return out;
}

Result<ArrayReader> open_npy(const std::string& path) {
  INTACT_ASSIGN(auto source, FileSource::open(path));
  auto reader = ArrayReader::open(std::move(source));
  if (!reader) return fail(reader.error().with_context(path));
  return reader;
}

Result<ArrayReader> open_npy(std::span<const std::byte> file) {
  return ArrayReader::open(std::make_unique<MemorySource>(file));
}

Result<NpzReader> NpzReader::open(const std::string& path) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (zip == nullptr)
    return fail(
        code == ZIP_ER_NOENT || code == ZIP_ER_OPEN ? ErrorCode::kIo : ErrorCode::kInvalidArgument,
        fmt::format("{} cannot be read as an .npz archive: {}", path, zip_message(code)));
  auto reader = list(std::make_shared<Archive>(zip));
  if (!reader) return fail(reader.error().with_context(path));
  return reader;
}

Result<NpzReader> NpzReader::open(std::span<const std::byte> file) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(file.data(), file.size(), 0, &error);
  zip_t* zip = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  if (zip == nullptr) {
    std::string message = zip_error_strerror(&error);
    if (source != nullptr) zip_source_free(source);
    zip_error_fini(&error);
    return corrupt("not an .npz archive: " + message);
  }
  zip_error_fini(&error);
  return list(std::make_shared<Archive>(zip));
}

Result<NpzReader> NpzReader::list(std::shared_ptr<Archive> archive) {
  NpzReader reader(std::move(archive));
  const zip_int64_t entries = zip_get_num_entries(reader.archive_->zip, 0);
  for (zip_int64_t i = 0; i < entries; ++i) {
    const auto entry = static_cast<zip_uint64_t>(i);
    const char* raw = zip_get_name(reader.archive_->zip, entry, 0);
    if (raw == nullptr) return corrupt("the archive has an entry without a name");
    std::string_view name = raw;
    if (!name.ends_with(".npy")) continue;
    name.remove_suffix(4);
    if (std::find(reader.names_.begin(), reader.names_.end(), name) != reader.names_.end())
      return corrupt(fmt::format("the archive has two arrays named '{}'", name));
    if (reader.names_.size() == 4096) return corrupt("the archive has more than 4096 arrays");
    reader.names_.emplace_back(name);
    reader.entries_.push_back(entry);
  }
  if (reader.names_.empty()) return corrupt("the archive holds no arrays");
  return reader;
}

Result<ArrayReader> NpzReader::array(const std::string& name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end())
    return fail(ErrorCode::kInvalidArgument, fmt::format("the archive has no array '{}'", name));
  const zip_uint64_t entry = entries_[static_cast<std::size_t>(found - names_.begin())];
  const std::string where = fmt::format("array '{}'", name);
  zip_stat_t stat;
  zip_stat_init(&stat);
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if (zip_stat_index(archive_->zip, entry, 0, &stat) != 0 || (stat.valid & kNeeded) != kNeeded)
    return corrupt(where + ": the archive is corrupt");
  if (stat.encryption_method != ZIP_EM_NONE)
    return fail(ErrorCode::kUnsupported, where + ": the archive is encrypted");
  const bool stored = stat.comp_method == ZIP_CM_STORE;
  if (!stored && stat.comp_method != ZIP_CM_DEFLATE)
    return fail(ErrorCode::kUnsupported,
                where + ": compressed by another method than deflate; write it with numpy.savez");
  // Deflate reaches 1032:1 at most, so a claim beyond that is a lie, and memory stays bounded.
  if (stored ? stat.size != stat.comp_size : stat.size / 1040 > stat.comp_size)
    return corrupt(where + ": the archive claims a size that its bytes cannot have");
  auto reader = ArrayReader::open(std::make_unique<ZipSource>(archive_, entry, stat.size, stored));
  if (!reader) return fail(reader.error().with_context(where));
  return reader;
}

}  // namespace intact
