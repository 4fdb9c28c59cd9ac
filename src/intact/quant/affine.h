// affine.h: the map between real numbers and integer codes.
//
//   x' = scale (q - zero_point)                                             (1) decode
//   q  = clamp(rne(x / scale) + zero_point, codes.lo, codes.hi)             (2) encode
//
// rne rounds half to even. Wherever the project says "scale" or "zero point" it means the symbols
// above. Derivation, error bound and edge cases: docs/maths/affine.md; contract: numerics.md.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "intact/result.h"

namespace intact {

// Inclusive range of codes: {-128, 127} for int8, {-8, 7} for int4.
struct CodeRange {
  std::int32_t lo = -128;
  std::int32_t hi = 127;
  friend bool operator==(const CodeRange&, const CodeRange&) = default;
};

// One tensor's map, or one channel's.
struct Affine {
  float scale = 1.0f;           // Real units per code step; a normal float, > 0.
  std::int32_t zero_point = 0;  // Code of real 0; inside codes.
  CodeRange codes{};
  friend bool operator==(const Affine&, const Affine&) = default;
};

// Element types that hold a code. int4 and uint4 travel in 8-bit elements with their own CodeRange.
template <class T>
concept Code = std::same_as<T, std::int8_t> || std::same_as<T, std::uint8_t> ||
    std::same_as<T, std::int16_t> || std::same_as<T, std::uint16_t>;

// Returns the finest map that spans [min, max] widened to contain 0, computed in double:
//
//   scale      = float32((max(max, 0) - min(min, 0)) / (codes.hi - codes.lo))
//   zero_point = clamp(rne(codes.lo - min(min, 0) / scale), codes.lo, codes.hi)        (3)
//
// The zero point is a code, so one end may move by up to half a step. If the widened range is {0},
// scale is 1. Errors: kInvalidArgument when an end is not finite, min > max, codes.lo >= codes.hi,
// codes wider than 16 bits, or the scale is not a normal float.
Result<Affine> choose_affine(float min, float max, CodeRange codes);

// Returns the map with the middle code as zero point, so that negation is exact on codes:
//
//   zero_point = 0 for signed codes (lo < 0), (lo + hi + 1) / 2 for unsigned ones
//   scale      = float32(max(|min|, |max|) / (codes.hi - zero_point))                  (3s)
//
// This is what `--target tensorrt` uses for activations. Edge cases and errors as choose_affine.
Result<Affine> choose_symmetric(float min, float max, CodeRange codes);

// Returns nothing, or why `a` breaks the contract of Affine.
Status check_affine(const Affine& a);

// (2) of one value: NaN becomes zero_point, infinities saturate. IEEE division, so the answer is
// the one that every IEEE machine gives.
std::int32_t encode(float x, const Affine& a) noexcept;
// (1) of one code, rounded once to float32.
float decode(std::int32_t q, const Affine& a) noexcept;

// Writes (2) of each x into q.   x: [n] real   q: [n] codes, n >= 0, not overlapping
// Requires equal sizes and codes within T. Requires round-to-nearest (ScopedFpEnv).
template <Code T>
void quantize(std::span<const float> x, const Affine& a, std::span<T> q);

// Writes (1) of each q into x.   q: [n] codes   x: [n] real, not overlapping
template <Code T>
void dequantize(std::span<const T> q, const Affine& a, std::span<float> x);

// Writes decode(encode(x)): what the network sees after a Q and a DQ. y may be x itself.
void fake_quantize(std::span<const float> x, const Affine& a, std::span<float> y);

// The textbook form Q = rne(S (X - min)), codes from 0. It equals (2) with scale = 1 / S and
// zero_point = -rne(min / scale) up to half a step, because a code has no fractional zero point.
struct SeedForm {
  double gain = 1.0;  // S, codes per real unit.
  double min = 0.0;   // The real value of code 0.
};

// Returns S and min of a map: S = 1 / scale, min = scale (codes.lo - zero_point).
SeedForm seed_form(const Affine& a) noexcept;

// Returns the map of a seed form: scale = float32(1 / S), zero_point = codes.lo - rne(min / scale),
// clamped into codes. Errors: kInvalidArgument when S is not > 0 and finite, min is not finite, the
// scale is not a normal float, or codes are unusable.
Result<Affine> affine_from_seed(const SeedForm& seed, CodeRange codes);

// Writes (x - min) / (max - min): the normalisation to [0, 1] that precedes the seed form. A
// constant input (max == min) gives zeros. y may be x itself.
void normalize(std::span<const float> x, float min, float max, std::span<float> y);

}  // namespace intact
