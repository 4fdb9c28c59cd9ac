#include "calib/spool.h"

#include <utility>

namespace intact {

Result<TensorSpool> TensorSpool::create() {
  INTACT_ASSIGN(TempFile file, TempFile::create());
  return TensorSpool(std::move(file));
}

Status TensorSpool::put(std::int64_t key, const Tensor& tensor) {
  drop(key);
  const std::size_t bytes = tensor.bytes();
  std::int64_t offset = 0;
  {
    const std::lock_guard lock(*mutex_);
    offset = end_;
    if (auto& places = free_[bytes]; !places.empty()) {
      offset = places.back();
      places.pop_back();
    } else {
      end_ += static_cast<std::int64_t>(bytes);
    }
    entries_[key] = {tensor.dtype(), tensor.shape(), offset};
  }
  return file_.write(offset, {tensor.raw(), bytes});
}

Result<Tensor> TensorSpool::get(std::int64_t key) const {
  Entry entry;
  {
    const std::lock_guard lock(*mutex_);
    entry = entries_.at(key);
  }
  Tensor t(entry.dtype, entry.shape);
  INTACT_TRY(file_.read(entry.offset, {t.raw(), t.bytes()}));
  return t;
}

bool TensorSpool::has(std::int64_t key) const {
  const std::lock_guard lock(*mutex_);
  return entries_.contains(key);
}

void TensorSpool::drop(std::int64_t key) {
  const std::lock_guard lock(*mutex_);
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  free_[bytes_of(it->second.dtype, num_elements(it->second.shape))].push_back(it->second.offset);
  entries_.erase(it);
}

}  // namespace intact
