// affine_model.h: what tests/fuzz/corpus/onnx/affine.onnx computes, y = x w + b, said once more.
#pragma once

#include <cstddef>
#include <vector>

constexpr std::size_t kIn = 3;
constexpr std::size_t kOut = 4;

inline std::vector<double> affine(const std::vector<float>& x) {
  constexpr double kW[kIn][kOut] = {{0.34558418, 0.82161814, 0.33043706, -1.3031572},
                                    {0.9053559, 0.44637457, -0.5369532, 0.5811181},
                                    {0.3645724, 0.2941325, 0.028422242, 0.546713}};
  constexpr double kB[kOut] = {0.5, -1, 2, 1e-30};
  std::vector<double> y;
  for (std::size_t row = 0; row < x.size() / kIn; ++row)
    for (std::size_t n = 0; n < kOut; ++n) {
      y.push_back(kB[n]);
      for (std::size_t k = 0; k < kIn; ++k) y.back() += double(x[row * kIn + k]) * kW[k][n];
    }
  return y;
}
