#include "base/hash.h"

#include <algorithm>
#include <array>
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

std::uint64_t next(std::uint64_t h, std::uint64_t word) {
  return scramble((h ^ word) * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u);
}

// The halves of the 128-bit product, one over the other.
std::uint64_t folded_product(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  std::uint64_t h = scramble(seed + 0x9E3779B97F4A7C15u * (bytes.size() + 1));
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<std::size_t>(8, bytes.size() - i));
    h = next(h, word);
  }
  return h;
}

std::uint64_t hash_large(std::span<const std::byte> bytes, std::uint64_t seed) {
  constexpr std::size_t kChains = 8;
  std::array<std::uint64_t, kChains> keys;
  std::array<std::uint64_t, kChains> chains;
  for (std::size_t j = 0; j < kChains; ++j) {
    keys[j] = scramble(j + 1);
    chains[j] = scramble(seed + kChains + j + 1);
  }
  std::size_t i = 0;
  for (; i + 2 * sizeof chains <= bytes.size(); i += 2 * sizeof chains) {
    std::array<std::uint64_t, 2 * kChains> words;
    std::memcpy(words.data(), bytes.data() + i, sizeof words);
    for (std::size_t j = 0; j < kChains; ++j)
      chains[j] = folded_product(words[2 * j] ^ keys[j], words[2 * j + 1] ^ chains[j]);
  }
  const std::uint64_t rest = hash_bytes(bytes.subspan(i), seed + bytes.size());
  return hash_bytes(std::as_bytes(std::span(chains)), rest);
}

}  // namespace intact
