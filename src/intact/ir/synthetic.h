// synthetic.h: constants made from a formula, for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/tensor.h"

namespace intact {

// Returns 0, 1, 2, ... Requires a type of 4 bits or more; values wrap like the type, floats are
// rounded.
Tensor iota_tensor(Dtype dtype, Shape shape);

// Element i comes from splitmix64(seed * 2^32 + i): its top 53 bits, as u in [0, 1), give
// lo + (hi - lo) u for floats and lo + floor((hi - lo + 1) u) for integers. Without a range the
// limits of parse.h.
Tensor random_tensor(Dtype dtype, Shape shape, std::uint64_t seed,
                     std::optional<std::pair<double, double>> range = std::nullopt);

}  // namespace intact
