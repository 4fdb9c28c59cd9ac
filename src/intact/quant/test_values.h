// test_values.h: random values for the tests of this room, the same on every machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace intact::test {

// splitmix64: small, and defined to the bit, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }  // [0, 1)
  double normal() {
    return std::sqrt(-2.0 * std::log(1.0 - uniform())) *
           std::cos(2.0 * std::numbers::pi * uniform());
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }

 private:
  std::uint64_t state_;
};

inline constexpr int kFamilies = 10;

// Returns n values of one of kFamilies families: normal, shifted, lognormal, bimodal, Relu of
// normal, uniform, spiky with outliers, few levels, constant, h-swish-like; scaled by 10^[-6, 6].
inline std::vector<float> random_values(std::uint64_t seed, std::size_t n) {
  Random r(seed);
  const int family = static_cast<int>(seed % kFamilies);
  const double scale = std::pow(10.0, 12.0 * r.uniform() - 6.0);
  const double shift = 4.0 * r.uniform() - 2.0;
  std::vector<float> x(n);
  for (auto& v : x) {
    double y = r.normal();
    switch (family) {
      case 1:
        y += shift;
        break;
      case 2:
        y = std::exp(0.7 * y) * (r.uniform() < 0.5 * std::fabs(shift) ? 1.0 : -0.3);
        break;
      case 3:
        y = (r.uniform() < 0.3 ? -2.0 : 3.0) + 0.4 * y;
        break;
      case 4:
        y = std::fmax(0.0, y);
        break;
      case 5:
        y = 2.0 * r.uniform() - 0.7;
        break;
      case 6:
        if (r.uniform() < 0.004) y *= 60.0 * r.uniform();
        break;
      case 7:
        y = std::floor(4.0 * y) / 4.0;
        break;
      case 8:
        y = shift;
        break;
      case 9:
        y = y * std::fmin(std::fmax(y + 0.5, 0.0), 1.0);
        break;
      default:
        break;
    }
    v = static_cast<float>(scale * y);
  }
  return x;
}

}  // namespace intact::test
