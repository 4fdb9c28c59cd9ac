// spool.h: tensors that wait in an unlinked temporary file instead of in memory.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/tensor.h"
#include "intact/result.h"

namespace intact {

class TensorSpool {
 public:
  // The file lies in $TMPDIR or /tmp and has no name. Errors: kIo.
  static Result<TensorSpool> create();
  TensorSpool(TensorSpool&& other) noexcept;
  TensorSpool& operator=(TensorSpool&&) = delete;
  ~TensorSpool();

  // Keeps a copy of the tensor under the key, replacing what was there. Errors: kIo (full disk).
  Status put(std::int64_t key, const Tensor& tensor);
  // Requires a key that was put. Errors: kIo.
  Result<Tensor> get(std::int64_t key) const;
  [[nodiscard]] bool has(std::int64_t key) const { return entries_.contains(key); }
  // Forgets the key, if there; its place is used again.
  void drop(std::int64_t key);

 private:
  explicit TensorSpool(int fd) : fd_(fd) {}
  struct Entry {
    Dtype dtype;
    Shape shape;
    std::int64_t offset;
  };
  int fd_ = -1;
  std::int64_t end_ = 0;
  std::map<std::int64_t, Entry> entries_;
  std::map<std::size_t, std::vector<std::int64_t>> free_;  // Offsets by size.
};

}  // namespace intact
