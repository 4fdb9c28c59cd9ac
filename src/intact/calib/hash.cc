#include "calib/hash.h"

#include <fmt/format.h>

namespace intact {

std::uint64_t hash_tensor(const Tensor& tensor, std::uint64_t seed) {
  std::uint64_t h = hash_bytes({}, seed + static_cast<std::uint64_t>(tensor.dtype()));
  h = hash_bytes(std::as_bytes(std::span(tensor.shape())), h);
  return hash_bytes(tensor.stored(), h);
}

std::string hex(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

}  // namespace intact
