// exact_inverse.h: quantizing by a multiplication that gives the codes of a division.
//
//   q  = x inv,   q' = fma(x - q s, inv, q),   inv = 1 / s rounded (1)
//
// q' is x / s but for an error far below half a unit of the last place, so it is the rounded
// quotient, or in rare cases its neighbour. Codes can only differ where a quotient is within one
// unit of a tie k + 1/2; there are 512 ties, and all x near them are tried.
#pragma once

namespace intact {

// Returns 1 / scale if (1) rounds to the same integer as the division does for every x with
// |x / scale| <= 256; otherwise 0. Scales outside of [2^-100, 2^100] give 0.
float exact_inverse(float scale) noexcept;

}  // namespace intact
