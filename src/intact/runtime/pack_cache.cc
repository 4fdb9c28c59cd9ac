#include "runtime/pack_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/align.h"
#include "base/atomic_file.h"
#include "base/hash.h"
#include "intact/version.h"
#include "ir/structure_hash.h"
#include "kernels/cpu_features.h"

namespace intact {
namespace {

// The file: this header, the objects, each on a cache line and with slack, and the index, which
// begins at `index`.
struct Header {
  char magic[8] = {'i', 'n', 't', 'a', 'c', 't', 'P', 'K'};
  std::uint64_t model = 0;
  std::uint64_t bytes = 0;  // Of the file.
  std::uint64_t index = 0;
  std::uint64_t hash = 0;  // Of the header and the index; objects have their own.
  std::uint64_t reserved[3] = {};
};
static_assert(sizeof(Header) == kAlignBytes);

std::uint64_t hash_frame(Header header, std::span<const std::byte> index) {
  header.hash = 0;
  return hash_large(index, hash_bytes(std::as_bytes(std::span(&header, 1))));
}

// Counts changes of what packed types hold and of how kernels lay weights out.
constexpr std::string_view kLayoutVersion = "7";

constexpr std::size_t kLargeBytes = 4096;
bool is_large(const Tensor& t) { return t.bytes() >= kLargeBytes; }

struct PackedConstant {
  std::shared_ptr<Buffer> bytes;
  auto fields() { return std::tie(bytes); }
};

// Values have names of their own: this is no key of a node's (op.h).
std::string key_of(const Value& constant) { return constant.name + std::string("\0constant", 9); }

bool is_alone(const Value& value) {
  return value.constant && is_large(*value.constant) && !value.constant->buffer()->is_mapping();
}

// Names the file of a model: what packing depends on beside the elements of large constants. Some
// of those too, so that models of one structure have a file each.
std::uint64_t hash_model(const Graph& graph, std::string_view isa) {
  constexpr std::size_t kSamples = 8;
  constexpr std::size_t kSampleBytes = 64;
  const std::string made_by = fmt::format("{} {} {}", kVersion, kLayoutVersion, isa);
  std::uint64_t h =
      hash_structure(graph, kLargeBytes, hash_bytes(std::as_bytes(std::span(made_by))));
  std::vector<const Tensor*> large;
  for (const Value& value : graph.values)
    if (value.constant && is_large(*value.constant)) large.push_back(&*value.constant);
  const std::size_t samples = std::min(kSamples, large.size());
  for (std::size_t i = 1; i <= samples; ++i) {
    const Tensor& t = *large[large.size() * i / samples - 1];
    h = hash_bytes(t.stored().subspan(t.bytes() / 2, kSampleBytes), h);
  }
  return h;
}

}  // namespace

bool PackCache::has_file() {
  if (folder_.empty()) return false;
  std::call_once(opened_, [this] {
    const auto isa = host_isa();
    if (!isa) return;
    model_ = hash_model(*graph_, name_of(*isa));
    path_ = (std::filesystem::path(folder_) / fmt::format("{:016x}.packed", model_)).string();
    map_file();
  });
  return !path_.empty();
}

std::uint64_t PackCache::hash_of(const Sources& sources) {
  std::uint64_t h = 0;
  if (!has_file()) return h;
  for (const Tensor* t : sources)
    if (is_large(*t)) h = hash_large(t->stored(), h);
  return h;
}

std::optional<PackReader> PackCache::checked(const std::string& key, const Sources& sources) {
  if (!has_file()) return std::nullopt;
  std::unique_lock lock(mutex_);
  const auto it = index_.find(key);
  if (it == index_.end()) return std::nullopt;
  const Place place = it->second;
  const std::shared_ptr<MappedFile> file = file_;
  lock.unlock();
  const auto bytes = file->bytes().subspan(place.begin, place.end - place.begin);
  if (hash_of(sources) == place.source && hash_large(bytes) == place.hash) {
    // Hardly anything will read them again.
    for (const Tensor* t : sources) t->buffer()->drop_pages();
    return PackReader(file, place.begin, place.end);
  }
  lock.lock();
  if (file == file_) index_.erase(key);
  return std::nullopt;
}

void PackCache::put_constants(const Graph& graph) {
  if (!unsaved_ || !has_file()) return;
  for (const Value& value : graph.values) {
    if (!is_alone(value)) continue;
    const Buffer& buffer = *value.constant->buffer();
    if (buffer.is_misaligned() && !buffer.is_copied()) continue;
    const std::string key = key_of(value);
    {
      const std::lock_guard lock(mutex_);
      if (objects_.contains(key) || index_.contains(key)) continue;
    }
    keep<PackedConstant>(key, std::make_shared<PackedConstant>(value.constant->buffer()),
                         hash_of({&*value.constant}));
  }
}

void PackCache::take_constants(Graph& graph, const ThreadPool& pool) {
  if (!has_file()) return;
  constexpr std::size_t kWorthSharing = std::size_t{4} << 20;
  std::vector<Value*> alone;
  std::size_t bytes = 0;
  for (Value& value : graph.values)
    if (is_alone(value) && index_.contains(key_of(value))) {
      alone.push_back(&value);
      bytes += value.constant->bytes();
    }
  const ThreadPool by_itself(1);
  (bytes < kWorthSharing ? by_itself : pool).run(alone.size(), [&](std::size_t i) {
    Tensor& constant = *alone[i]->constant;
    const auto kept = find<PackedConstant>(key_of(*alone[i]), {&constant});
    if (kept == nullptr || kept->bytes->bytes() != constant.bytes()) return;
    // They have been read to be compared; runs may read little.
    kept->bytes->drop_pages();
    constant = Tensor(constant.dtype(), constant.shape(), kept->bytes);
  });
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
      header.hash != hash_frame(header, bytes.subspan(header.index)))
    return false;
  std::uint64_t count = 0;
  PackReader reader(file, header.index, bytes.size());
  if (!reader.read(count)) return false;
  std::map<std::string, Place> index;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key;
    Place place;
    if (!reader.read(key) || !reader.read(place) || place.begin > place.end ||
        place.end > header.index)
      return false;
    index.emplace(std::move(key), place);
  }
  index_ = std::move(index);
  file_ = std::move(file);
  return true;
}

bool PackCache::save() {
  if (!unsaved_ || !has_file()) return false;
  const std::lock_guard lock(mutex_);
  unsaved_ = false;
  std::string body;
  PackWriter index;
  PackWriter entries;
  std::uint64_t count = 0;
  const auto add = [&](const std::string& key, std::string_view bytes, Place place) {
    place.begin = sizeof(Header) + body.size();
    place.end = place.begin + bytes.size();
    body += bytes;
    entries.write(key);
    entries.write(place);
    ++count;
  };
  for (const auto& [key, entry] : objects_) {
    PackWriter writer;
    if (!entry.write || index_.contains(key) || !entry.write(writer)) continue;
    std::string bytes = std::move(writer).take();
    bytes.resize(align_up(bytes.size() + kSlackBytes));  // Kernels may read past the end.
    add(key, bytes, {0, 0, entry.source, hash_large(std::as_bytes(std::span(bytes)))});
  }
  for (const auto& [key, place] : index_)
    add(key,
        {reinterpret_cast<const char*>(file_->bytes().data()) + place.begin,
         place.end - place.begin},
        place);
  Header header;
  header.model = model_;
  header.index = sizeof(Header) + body.size();
  index.write(count);
  const std::string frame = std::move(index).take() + std::move(entries).take();
  body += frame;
  header.bytes = sizeof(Header) + body.size();
  header.hash = hash_frame(header, std::as_bytes(std::span(frame)));

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
