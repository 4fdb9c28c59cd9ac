#include "calib/matrix.h"

#include <algorithm>

#include "calib/run_graph.h"

namespace intact {

Result<MatrixEngine> MatrixEngine::create(int threads) {
  Graph g;
  g.name = "product";
  g.opsets[""] = 13;
  ValueType matrix;
  matrix.dtype = Dtype::kFloat32;
  matrix.shape = {Dim::symbolic("m"), Dim::symbolic("k")};
  const ValueId a = g.add_value("a", matrix);
  matrix.shape = {Dim::symbolic("k"), Dim::symbolic("n")};
  const ValueId b = g.add_value("b", matrix);
  g.inputs = {a, b};
  Node node;
  node.name = "product";
  node.op = "MatMul";
  node.inputs = {a, b};
  g.outputs = {g.add_node(std::move(node), "c")};
  MatrixEngine e;
  INTACT_ASSIGN(e.engine_, make_engine(std::move(g), threads));
  return e;
}

Result<Tensor> MatrixEngine::product(const Tensor& a, const Tensor& b) {
  const std::vector<Tensor> inputs{a, b};
  INTACT_ASSIGN(auto outputs, engine_->run(inputs));
  return std::move(outputs[0]);
}

Tensor columns(std::span<const float> x, std::size_t pitch, std::size_t begin, std::size_t width) {
  const std::size_t rows = x.size() / pitch;
  Tensor t(Dtype::kFloat32, {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(width)});
  float* out = t.mutable_values<float>().data();
  for (std::size_t r = 0; r < rows; ++r)
    std::copy_n(x.data() + r * pitch + begin, width, out + r * width);
  return t;
}

Tensor columns_transposed(std::span<const float> x, std::size_t pitch, std::size_t begin,
                          std::size_t width) {
  const std::size_t rows = x.size() / pitch;
  Tensor t(Dtype::kFloat32, {static_cast<std::int64_t>(width), static_cast<std::int64_t>(rows)});
  float* out = t.mutable_values<float>().data();
  constexpr std::size_t kTile = 16;  // One cache line of floats each way.
  for (std::size_t r0 = 0; r0 < rows; r0 += kTile)
    for (std::size_t c = 0; c < width; ++c)
      for (std::size_t r = r0; r < std::min(rows, r0 + kTile); ++r)
        out[c * rows + r] = x[r * pitch + begin + c];
  return t;
}

}  // namespace intact
