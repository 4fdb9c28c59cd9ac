// hash.h: 64-bit hashes of tensors (base/hash.h).
#pragma once

#include <cstdint>
#include <string>

#include "base/hash.h"
#include "base/tensor.h"

namespace intact {

// Type, shape and elements.
std::uint64_t hash_tensor(const Tensor& tensor, std::uint64_t seed = 0);
// 16 hexadecimal digits.
std::string hex(std::uint64_t hash);

}  // namespace intact
