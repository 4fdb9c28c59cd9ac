// short_scale.h: scales of few bits, with which float arithmetic is exact.
//
// A code is an integer of 8 bits. When a scale s = m 2^k has a mantissa m of few bits, what a DQ
// gives has few bits too, and so have the products of a layer: an engine that computes the file in
// float adds them without any rounding as long as the sum stays below 2^24 steps, in whatever
// order. It then meets the Q behind them with the very value that an integer engine meets it with,
// and the same codes follow. Scales of 24 bits leave a rounding error in every sum; where it
// crosses a tie a code changes, and a deep network of sharp functions amplifies that to the size of
// the quantization noise itself. docs/decisions/0005-short-scales.md has the measurements.
//
//   activations   m in {1, 3/2}
//   sums          m = 1        (of codes alone; one with a product in it is added in real units)
//   weights       m in {1, 9/8, 5/4, 11/8, 3/2, 15/8}
//
// Every multiplier m_x m_w / m_y of these either is exact in float or a third with an error of at
// most 2^-25 of it, so that a product that lies on a tie is still rounded onto it. That is what
// keeps 13/8 and 7/4 out (13/12 and 7/6 are nearer to 1), and what sums of two terms need m = 1
// for.
#pragma once

#include <cstdint>

namespace intact {

enum class ScaleSet : std::uint8_t { kAny, kActivation, kSum, kWeight };

// Returns the least member of the set that is >= scale.   scale: a normal float, > 0
// Requires scale <= 2^126. kAny: scale itself.
float scale_above(float scale, ScaleSet set);

// Returns the greatest member of the set that is <= scale, a normal float, > 0.
float scale_below(float scale, ScaleSet set);

// Returns the member nearest to `scale` in ratio.
float scale_near(float scale, ScaleSet set);

}  // namespace intact
