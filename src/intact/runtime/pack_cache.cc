#include "runtime/pack_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/align.h"
#include "base/atomic_file.h"
#include "base/hash.h"
#include "intact/version.h"
#include "ir/print.h"
#include "kernels/cpu_features.h"

namespace intact {
namespace {

// The file: this header, the objects, and the index, which begins at `index`.
struct Header {
  char magic[8] = {'i', 'n', 't', 'a', 'c', 't', 'P', 'K'};
  std::uint64_t model = 0;
  std::uint64_t bytes = 0;  // Of the file.
  std::uint64_t index = 0;
  std::uint64_t hash = 0;  // Of everything else.
  std::uint64_t reserved[3] = {};
};
static_assert(sizeof(Header) == kAlignBytes);

std::uint64_t hash_file(Header header, std::span<const std::byte> body) {
  header.hash = 0;
  return hash_large(body, hash_bytes(std::as_bytes(std::span(&header, 1))));
}

// Counts changes of what packed types hold and of how kernels lay weights out.
constexpr std::string_view kLayoutVersion = "5";

constexpr std::size_t kLargeBytes = 4096;

struct PackedConstant {
  std::shared_ptr<Buffer> bytes;
  auto fields() { return std::tie(bytes); }
};

// Values have names of their own: this is no key of a node's (op.h).
std::string key_of(const Value& constant) { return constant.name + std::string("\0constant", 9); }

bool is_alone(const Value& value) {
  return value.constant && value.constant->bytes() >= kLargeBytes &&
         !value.constant->buffer()->is_mapping();
}

// What packing depends on.
std::uint64_t hash_model(const Graph& graph, std::string_view isa) {
  // Large constants by a fast hash of their bytes, the rest as text.
  Graph small = graph;
  const auto text_hash = [](const std::string& text, std::uint64_t seed) {
    return hash_bytes(std::as_bytes(std::span(text)), seed);
  };
  std::uint64_t h = text_hash(fmt::format("{} {} {}", kVersion, kLayoutVersion, isa), 0);
  for (Value& value : small.values) {
    if (!value.constant || value.constant->bytes() < kLargeBytes) continue;
    h = hash_large({value.constant->raw(), value.constant->bytes()}, h);
    value.constant->buffer()->drop_pages();
    value.constant.reset();
  }
  return text_hash(print_graph(small), h);
}

}  // namespace

PackCache::PackCache(const std::string& folder, const Graph& graph) {
  const auto isa = host_isa();
  if (folder.empty() || !isa) return;
  model_ = hash_model(graph, name_of(*isa));
  path_ = (std::filesystem::path(folder) / fmt::format("{:016x}.packed", model_)).string();
  map_file();
}

void PackCache::put_constants(const Graph& graph) {
  const std::lock_guard lock(mutex_);
  if (path_.empty() || !unsaved_) return;
  for (const Value& value : graph.values) {
    if (!is_alone(value)) continue;
    std::string key = key_of(value);
    if (!index_.contains(key))
      keep<PackedConstant>(key, std::make_shared<PackedConstant>(value.constant->buffer()));
  }
}

void PackCache::take_constants(Graph& graph) {
  if (file_ == nullptr) return;
  for (Value& value : graph.values) {
    if (!is_alone(value)) continue;
    const auto kept = find<PackedConstant>(key_of(value));
    if (kept == nullptr || kept->bytes->bytes() != value.constant->bytes()) continue;
    value.constant = Tensor(value.constant->dtype(), value.constant->shape(), kept->bytes);
  }
}

bool PackCache::map_file() {
  file_ = nullptr;
  index_.clear();
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat info {};
  auto file = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
                      info.st_size >= static_cast<off_t>(sizeof(Header))
                  ? MappedFile::map(fd, static_cast<std::uint64_t>(info.st_size))
                  : nullptr;
  close(fd);
  if (file == nullptr) return false;
  const std::span<const std::byte> bytes = file->bytes();
  Header header;
  const Header expected;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0 ||
      header.model != model_ || header.bytes != bytes.size() || header.index > bytes.size() ||
      header.hash != hash_file(header, bytes.subspan(sizeof header)))
    return false;
  std::uint64_t count = 0;
  PackReader reader(file, header.index, bytes.size());
  if (!reader.read(count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    if (!reader.read(key) || !reader.read(begin) || !reader.read(end) || begin > end ||
        end > header.index)
      return false;
    index_.emplace(std::move(key), std::pair(begin, end));
  }
  file_ = std::move(file);
  // All of it has been read to hash it; runs may read little.
  file_->part(0, bytes.size())->drop_pages();
  return true;
}

bool PackCache::save() {
  const std::lock_guard lock(mutex_);
  if (path_.empty() || !unsaved_) return false;
  unsaved_ = false;
  std::string body;
  PackWriter index;
  PackWriter entries;
  std::uint64_t count = 0;
  const auto add = [&](const std::string& key, std::string_view bytes) {
    body.resize(align_up(body.size()));
    const std::uint64_t begin = sizeof(Header) + body.size();
    body += bytes;
    entries.write(key);
    entries.write(begin);
    entries.write(begin + bytes.size());
    ++count;
  };
  for (const auto& [key, entry] : objects_) {
    PackWriter writer;
    if (entry.write && entry.write(writer)) add(key, std::move(writer).take());
  }
  for (const auto& [key, place] : index_)
    if (!objects_.contains(key))
      add(key, {reinterpret_cast<const char*>(file_->bytes().data()) + place.first,
                place.second - place.first});
  // Kernels may read past the end of the last object.
  body.resize(align_up(body.size() + kSlackBytes));
  Header header;
  header.model = model_;
  header.index = sizeof(Header) + body.size();
  index.write(count);
  body += std::move(index).take() + std::move(entries).take();
  header.bytes = sizeof(Header) + body.size();
  header.hash = hash_file(header, std::as_bytes(std::span(body)));

  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  auto file = AtomicFile::create(path_);
  if (!file || !file->write(std::as_bytes(std::span(&header, 1))) ||
      !file->write(std::as_bytes(std::span(body))) || !file->commit() || !map_file())
    return false;
  std::erase_if(objects_, [&](const auto& object) { return index_.contains(object.first); });
  return true;
}

}  // namespace intact
