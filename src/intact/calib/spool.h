// spool.h: tensors that wait in a temporary file instead of in memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/tensor.h"
#include "calib/temp_file.h"

namespace intact {

// Threads may use different keys at the same time.
class TensorSpool {
 public:
  // Errors: those of TempFile.
  static Result<TensorSpool> create();

  // Keeps a copy of the tensor under the key, replacing what was there. Errors: kIo (full disk).
  Status put(std::int64_t key, const Tensor& tensor);
  // Requires a key that was put. Errors: kIo.
  Result<Tensor> get(std::int64_t key) const;
  [[nodiscard]] bool has(std::int64_t key) const;
  // Forgets the key, if there; its place is used again.
  void drop(std::int64_t key);

 private:
  explicit TensorSpool(TempFile file) : file_(std::move(file)) {}
  struct Entry {
    Dtype dtype;
    Shape shape;
    std::int64_t offset;
  };
  TempFile file_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // Guards what follows.
  std::int64_t end_ = 0;
  std::map<std::int64_t, Entry> entries_;
  std::map<std::size_t, std::vector<std::int64_t>> free_;  // Offsets by size.
};

}  // namespace intact
