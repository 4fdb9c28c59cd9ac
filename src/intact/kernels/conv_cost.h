// conv_cost.h: which of the kernels that compute the same convolution, bit for bit, is the fastest.
#pragma once

#include <cstdint>

#include "kernels/cpu_features.h"
#include "kernels/wino43_u8s8.h"

namespace intact {

enum class ConvAlgorithm : std::uint8_t {
  kDirect,      // gemm_u8s8.h over conv_rows.h.
  kWinograd43,  // wino43_u8s8.h
};

// Returns the faster one for one image, by a count of cycles; kDirect for a window that Winograd
// does not take. A pure function of its arguments.
ConvAlgorithm choose_conv_algorithm(const Wino43Shape& shape, IsaLevel isa) noexcept;

}  // namespace intact
