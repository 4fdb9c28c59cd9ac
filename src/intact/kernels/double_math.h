// double_math.h: elementary functions in double without libm, so that tables of 256 codes are the
// same bytes with every C library.
//
// Within 2 units of the last place of the exact value (1 for exp, log, pow, sin and cos), checked
// by double_math_test.cc against long double. Special values as IEEE 754 and C have them. For
// tables and constants, not for inner loops: 10 to 500 ns a call.
#pragma once

namespace intact::dmath {

double exp(double x) noexcept;
double expm1(double x) noexcept;
double log(double x) noexcept;
double log1p(double x) noexcept;
double erf(double x) noexcept;
double tanh(double x) noexcept;
double sigmoid(double x) noexcept;  // 1 / (1 + exp(-x))
double pow(double x, double y) noexcept;
double sin(double x) noexcept;
double cos(double x) noexcept;

// The float functions of elementwise_f32.h that go through double: within 0.5000005 ulp.
float sin_f32(float x) noexcept;
float cos_f32(float x) noexcept;
float pow_f32(float x, float y) noexcept;  // x * x when y is 2.

}  // namespace intact::dmath
