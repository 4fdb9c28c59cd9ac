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

// Slice with constant starts, ends, axes and steps, one axis after the other.
Tensor sliced(std::span<const Tensor> in) {
  const auto starts = to_int64(in[1]);
  const auto ends = to_int64(in[2]);
  auto x = to_float64(in[0]);
  Shape shape = in[0].shape();
  for (std::size_t i = 0; i < starts.size(); ++i) {
    std::int64_t axis =
        in.size() > 3 && in[3].defined() ? to_int64(in[3])[i] : static_cast<std::int64_t>(i);
    if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
    const std::int64_t step = in.size() > 4 ? to_int64(in[4])[i] : 1;
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t n = shape[a];
    const auto bound = [&](std::int64_t at, std::int64_t lo, std::int64_t hi) {
      return std::clamp(at < 0 ? std::max(at, -n - 1) + n : at, lo, hi);
    };
    const std::int64_t lo = step > 0 ? 0 : -1;
    const std::int64_t first = bound(starts[i], 0, step > 0 ? n : n - 1);
    const std::int64_t last = bound(ends[i], lo, step > 0 ? n : n - 1);
    std::int64_t outer = 1;
    std::int64_t inner = 1;
    for (std::size_t d = 0; d < shape.size(); ++d) (d < a ? outer : inner) *= d == a ? 1 : shape[d];
    std::vector<double> y;
    std::int64_t kept = 0;
    for (std::int64_t k = first; step > 0 ? k < last : k > last; k += step) ++kept;
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t k = 0; k < kept; ++k)
        for (std::int64_t j = 0; j < inner; ++j)
          y.push_back(x[static_cast<std::size_t>((o * n + first + k * step) * inner + j)]);
    x = std::move(y);
    shape[a] = kept;
  }
  return from_float64(in[0].dtype(), shape, x);
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
  if (node.is("Slice") && in.size() >= 3) return one(sliced(in));
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
