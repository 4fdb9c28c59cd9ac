// pack_cache.h: weights in the form that kernels want, made once a model and shared by all plans.
//
// With a folder they are kept in a file there, which later sessions and other processes map: they
// pack nothing, and all hold one copy. Nothing is read before something is asked for. An object is
// checked when it first is, by whoever asks: against a hash of its own bytes, and one of the
// constants that it was made of. What packing depends on beside those (the graph's structure, the
// ISA level, the version of intact) is in the header. So an object is used only where packing
// would make the same; one that is stale, damaged or another model's is packed anew, and the file
// replaced in one step.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "ir/graph.h"
#include "runtime/pack_archive.h"

namespace intact {

class PackCache {
 public:
  // Constants that an object is made of.
  using Sources = std::vector<const Tensor*>;

  PackCache() = default;
  // Of a graph that outlives it. Nothing is kept in files without a folder.
  PackCache(std::string folder, const Graph& graph) : folder_(std::move(folder)), graph_(&graph) {}

  // The object of a key, made of these constants (and of what the structure of the graph says);
  // null when there is none.
  template <class T>
  std::shared_ptr<const T> find(const std::string& key, const Sources& sources) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = objects_.find(key); it != objects_.end())
        return std::static_pointer_cast<const T>(it->second.object);
    }
    if constexpr (Packable<T>) {
      if (auto reader = checked(key, sources)) {
        auto object = std::make_shared<T>();
        if (reader->read(*object)) return keep<T>(key, std::move(object), 0);
      }
    }
    return nullptr;
  }

  // Keeps the first object given for a key, and returns the one kept.
  template <class T>
  std::shared_ptr<const T> put(const std::string& key, std::shared_ptr<const T> object,
                               const Sources& sources) {
    auto kept = keep<T>(key, std::move(object), Packable<T> ? hash_of(sources) : 0);
    if constexpr (Packable<T>) unsaved_ = true;
    return kept;
  }

  // Puts what goes into the file with the next save, if there is one: large constants that this
  // process holds alone, because the model's file has them at an odd place and somebody reads them,
  // or a pass computed them.
  void put_constants(const Graph& graph);
  // Lets the file's take their place where it has them.
  void take_constants(Graph& graph, const ThreadPool& pool);

  // Writes what was made since the file was mapped, if there is a folder. Returns true when the
  // objects have been let go, so that the file's take their place. A folder that cannot be written
  // to is no error: the objects stay.
  bool save();

 private:
  struct Entry {
    std::shared_ptr<const void> object;
    std::function<bool(PackWriter&)> write;  // Empty: not for the file.
    std::uint64_t source = 0;                // Hash of what it was made of, where that is new.
  };
  // Where the file has an object.
  struct Place {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t source = 0;  // Hash of what it was made of.
    std::uint64_t hash = 0;    // Of its bytes.
  };

  template <class T>
  std::shared_ptr<const T> keep(const std::string& key, std::shared_ptr<const T> object,
                                std::uint64_t source) {
    Entry entry{object, {}, source};
    if constexpr (Packable<T>)
      entry.write = [object](PackWriter& writer) { return writer.write(*object); };
    const std::lock_guard lock(mutex_);
    return std::static_pointer_cast<const T>(
        objects_.emplace(key, std::move(entry)).first->second.object);
  }
  // Maps the file of this model if there is one, the first time. Returns false without a folder.
  bool has_file();
  [[nodiscard]] std::uint64_t hash_of(const Sources& sources);
  // A reader of the file's object, if it has it and everything agrees.
  std::optional<PackReader> checked(const std::string& key, const Sources& sources);
  bool map_file();

  std::mutex mutex_;
  std::map<std::string, Entry> objects_;
  std::atomic<bool> unsaved_ = false;

  std::string folder_;
  const Graph* graph_ = nullptr;
  std::once_flag opened_;
  std::string path_;  // Empty: no file.
  std::uint64_t model_ = 0;
  std::shared_ptr<MappedFile> file_;
  std::map<std::string, Place> index_;
};

}  // namespace intact
