#include "tiny_evaluator.h"

#include <algorithm>

#include "base/round.h"

namespace intact {
namespace {

Tensor binary(const Tensor& a, const Tensor& b, bool product) {
  auto x = to_float64(a);
  const auto y = to_float64(b);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double e = y.size() == 1 ? y[0] : y[i];
    x[i] = product ? x[i] * e : x[i] + e;
  }
  return from_float64(a.dtype(), a.shape(), x);
}

Tensor transposed(const Tensor& a) {
  const auto x = to_float64(a);
  const auto rows = static_cast<std::size_t>(a.shape()[0]);
  const auto cols = static_cast<std::size_t>(a.shape()[1]);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) y[j * rows + i] = x[i * cols + j];
  return from_float64(a.dtype(), {a.shape()[1], a.shape()[0]}, y);
}

Tensor reshaped(const Tensor& a, const std::vector<std::int64_t>& target) {
  Shape shape = target;
  std::int64_t rest = a.size();
  for (const std::int64_t n : shape)
    if (n > 0) rest /= n;
  for (std::int64_t& n : shape)
    if (n == -1) n = rest;
  return a.reshaped(shape);
}

}  // namespace

Result<std::vector<Tensor>> evaluate_tiny(const Node& node, std::span<const Tensor> in,
                                          const Graph&) {
  const auto one = [](Tensor t) { return std::vector<Tensor>{std::move(t)}; };
  if ((node.is("Add") || node.is("Mul")) && in[0].size() >= in[1].size())
    return one(binary(in[0], in[1], node.is("Mul")));
  if (node.is("Cast"))
    return one(
        from_float64(static_cast<Dtype>(node.get_int("to", 1)), in[0].shape(), to_float64(in[0])));
  if (node.is("Concat")) {
    std::vector<double> all;
    for (const Tensor& t : in) {
      const auto x = to_float64(t);
      all.insert(all.end(), x.begin(), x.end());
    }
    return one(from_float64(in[0].dtype(), {static_cast<std::int64_t>(all.size())}, all));
  }
  if (node.is("ConstantOfShape")) {
    const Tensor* value = node.get_tensor("value");
    const Shape shape = to_int64(in[0]);
    const double fill = value != nullptr ? to_float64(*value)[0] : 0.0;
    const std::vector<double> all(static_cast<std::size_t>(num_elements(shape)), fill);
    return one(from_float64(value != nullptr ? value->dtype() : Dtype::kFloat32, shape, all));
  }
  if (node.is("Gather") && in[0].rank() == 1) {
    const auto data = to_float64(in[0]);
    std::vector<double> out;
    for (const std::int64_t i : to_int64(in[1]))
      out.push_back(data[static_cast<std::size_t>(i < 0 ? i + in[0].size() : i)]);
    return one(from_float64(in[0].dtype(), in[1].shape(), out));
  }
  if (node.is("Reshape")) return one(reshaped(in[0], to_int64(in[1])));
  if (node.is("Transpose") && in[0].rank() == 2) return one(transposed(in[0]));
  if (node.is("QuantizeLinear") && in.size() == 3) {
    auto x = to_float64(in[0]);
    const double scale = to_float64(in[1])[0];
    const double zero = to_float64(in[2])[0];
    for (double& e : x) e = round_half_even(e / scale) + zero;
    return one(from_float64(in[2].dtype(), in[0].shape(), x));
  }
  return fail(ErrorCode::kUnsupported, fmt::format("the tiny evaluator has no {}", node.op));
}

}  // namespace intact
