// matrix.h: products of float matrices by the engine's own kernels, for large operands.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/engine.h"

namespace intact {

class MatrixEngine {
 public:
  static Result<MatrixEngine> create(int threads);

  // Returns a b.   a: [m, k]   b: [k, n]   result: [m, n]; one fma chain over ascending k.
  Result<Tensor> product(const Tensor& a, const Tensor& b);

 private:
  std::shared_ptr<Engine> engine_;
};

// Columns [begin, begin + width) of x: [rows, pitch] as a tensor [rows, width], and transposed.
Tensor columns(std::span<const float> x, std::size_t pitch, std::size_t begin, std::size_t width);
Tensor columns_transposed(std::span<const float> x, std::size_t pitch, std::size_t begin,
                          std::size_t width);

}  // namespace intact
