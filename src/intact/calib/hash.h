// hash.h: 64-bit hashes of bytes: fingerprints, not cryptography.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/tensor.h"

namespace intact {

// Depends on the bytes, their number and the seed; the same on every machine.
std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);
// Type, shape and elements.
std::uint64_t hash_tensor(const Tensor& tensor, std::uint64_t seed = 0);
// 16 hexadecimal digits.
std::string hex(std::uint64_t hash);

}  // namespace intact
