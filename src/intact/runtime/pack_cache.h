// pack_cache.h: weights in the form that kernels want, made once a model and shared by all plans.
//
// With a folder they are kept in a file there, which later sessions and other processes map: they
// pack nothing, and all hold one copy. The file is named after everything that packing depends on:
// the prepared graph with its constants, the ISA level, and the version of intact; so it is never
// stale. A file that is damaged or another's is packed anew and replaced, in one step.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "ir/graph.h"
#include "runtime/pack_archive.h"

namespace intact {

class PackCache {
 public:
  PackCache() = default;
  // Maps the file of this model in `folder` if there is one; nothing is kept without a folder.
  PackCache(const std::string& folder, const Graph& graph);

  // The object of a key; null when there is none.
  template <class T>
  std::shared_ptr<const T> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    if (const auto it = objects_.find(key); it != objects_.end())
      return std::static_pointer_cast<const T>(it->second.object);
    if constexpr (Packable<T>) {
      const auto it = index_.find(key);
      if (it == index_.end()) return nullptr;
      auto object = std::make_shared<T>();
      if (PackReader(file_, it->second.first, it->second.second).read(*object))
        return keep<T>(key, std::move(object));
    }
    return nullptr;
  }

  // Keeps the first object given for a key, and returns the one kept.
  template <class T>
  std::shared_ptr<const T> put(const std::string& key, std::shared_ptr<const T> object) {
    const std::lock_guard lock(mutex_);
    unsaved_ |= Packable<T>;
    return keep<T>(key, std::move(object));
  }

  // Puts what goes into the file with the next save, if there is one: large constants that this
  // process holds alone, because the model's file has them at an odd place or a pass computed them.
  void put_constants(const Graph& graph);
  // Lets the file's take their place where it has them.
  void take_constants(Graph& graph);

  // Writes what was made since the file was mapped, if there is a folder. Returns true when the
  // objects have been let go, so that the file's take their place. A folder that cannot be written
  // to is no error: the objects stay.
  bool save();

 private:
  struct Entry {
    std::shared_ptr<const void> object;
    std::function<bool(PackWriter&)> write;  // Empty: not for the file.
  };

  template <class T>
  std::shared_ptr<const T> keep(const std::string& key, std::shared_ptr<const T> object) {
    Entry entry{object, {}};
    if constexpr (Packable<T>)
      entry.write = [object](PackWriter& writer) { return writer.write(*object); };
    return std::static_pointer_cast<const T>(
        objects_.emplace(key, std::move(entry)).first->second.object);
  }
  bool map_file();

  std::mutex mutex_;
  std::map<std::string, Entry> objects_;
  bool unsaved_ = false;

  std::string path_;  // Empty: no file.
  std::uint64_t model_ = 0;
  std::shared_ptr<MappedFile> file_;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> index_;  // Begin and end.
};

}  // namespace intact
