// buffer_pool.h: a few buffers used again and again, so that a stream of samples does not leave the
// heap in pieces (glibc's keeps several samples' worth of holes between blocks of a mebibyte).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

#include "base/tensor.h"

namespace intact {

class BufferPool {
 public:
  // Returns a tensor whose bytes hold anything at all. Its memory comes back to the pool when the
  // last copy of the tensor goes. For one caller at a time.
  Tensor tensor(Dtype dtype, Shape shape) {
    const std::size_t bytes = bytes_of(dtype, num_elements(shape));
    for (std::shared_ptr<Buffer>& buffer : buffers_) {
      if (buffer == nullptr) {
        buffer = Buffer::allocate(bytes);
        return {dtype, std::move(shape), buffer};
      }
      if (buffer.use_count() > 1) continue;
      std::atomic_thread_fence(std::memory_order_acquire);  // After the last owner's accesses.
      if (buffer->bytes() < bytes || buffer->bytes() / 2 > bytes) {
        buffer = nullptr;  // Before its successor: never both.
        buffer = Buffer::allocate(bytes);
      }
      return {dtype, std::move(shape), buffer};
    }
    return {dtype, std::move(shape)};
  }

 private:
  std::array<std::shared_ptr<Buffer>, 4> buffers_;
};

}  // namespace intact
