#include "calib/hash.h"

#include <fmt/format.h>

#include <cstring>

namespace intact {
namespace {

// The finalizer of splitmix64: every bit of the result depends on every bit of x.
std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  std::uint64_t h = scramble(seed + 0x9E3779B97F4A7C15u * (bytes.size() + 1));
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    for (std::size_t b = 0; b < 8 && i + b < bytes.size(); ++b)
      word |= static_cast<std::uint64_t>(bytes[i + b]) << (8 * b);
    h = scramble((h ^ word) * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u);
  }
  return h;
}

std::uint64_t hash_tensor(const Tensor& tensor, std::uint64_t seed) {
  std::uint64_t h = hash_bytes({}, seed + static_cast<std::uint64_t>(tensor.dtype()));
  h = hash_bytes(std::as_bytes(std::span(tensor.shape())), h);
  return hash_bytes({tensor.raw(), tensor.bytes()}, h);
}

std::string hex(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

}  // namespace intact
