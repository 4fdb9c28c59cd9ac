#include "base/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace intact {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they are");

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
    std::memcpy(&word, bytes.data() + i, std::min<std::size_t>(8, bytes.size() - i));
    h = scramble((h ^ word) * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u);
  }
  return h;
}

}  // namespace intact
