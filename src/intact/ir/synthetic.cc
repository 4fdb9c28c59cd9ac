#include "ir/synthetic.h"

#include <cmath>
#include <vector>

namespace intact {
namespace {

std::uint64_t splitmix64(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

std::pair<double, double> default_range(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
      return {0, 1};
    case Dtype::kInt4:
      return {-8, 7};
    case Dtype::kUint4:
      return {0, 15};
    case Dtype::kUint8:
    case Dtype::kUint16:
    case Dtype::kUint32:
    case Dtype::kUint64:
      return {0, 255};
    case Dtype::kInt8:
    case Dtype::kInt16:
    case Dtype::kInt32:
    case Dtype::kInt64:
      return {-128, 127};
    default:
      return {-1, 1};
  }
}

}  // namespace

Tensor iota_tensor(Dtype dtype, Shape shape) {
  std::vector<double> x(static_cast<std::size_t>(num_elements(shape)));
  const int bits = bits_of(dtype);
  const double period = is_integer(dtype) && bits < 32 ? std::ldexp(1.0, bits) : 0.0;
  const bool is_signed = dtype == Dtype::kInt4 || dtype == Dtype::kInt8 || dtype == Dtype::kInt16;
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<double>(i);
    if (period > 0) x[i] = std::fmod(x[i], period);
    if (is_signed && x[i] >= period / 2) x[i] -= period;
  }
  return from_float64(dtype, std::move(shape), x);
}

Tensor random_tensor(Dtype dtype, Shape shape, std::uint64_t seed,
                     std::optional<std::pair<double, double>> range) {
  const auto [lo, hi] = range.value_or(default_range(dtype));
  std::vector<double> x(static_cast<std::size_t>(num_elements(shape)));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint64_t bits = splitmix64((seed << 32U) + i);
    const double u = static_cast<double>(bits >> 11U) * 0x1p-53;
    x[i] = is_float(dtype) ? lo + (hi - lo) * u : lo + std::floor((hi - lo + 1) * u);
  }
  return from_float64(dtype, std::move(shape), x);
}

}  // namespace intact
