// hash.h: 64-bit hashes of bytes: fingerprints, not cryptography.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace intact {

// Depends on the bytes, their number and the seed; the same on every machine.
std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);

// Another such function, as fast as memory on megabytes: eight chains side by side, each a product
// every sixteen bytes, hashed together.
std::uint64_t hash_large(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace intact
