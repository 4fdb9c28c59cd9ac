#include "passes/node_traits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace intact {
namespace {

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

}  // namespace

bool is_random(const Node& node) {
  static constexpr std::array<std::string_view, 6> kRandom = {
      "RandomNormal",      "RandomUniform", "RandomNormalLike",
      "RandomUniformLike", "Multinomial",   "Bernoulli"};
  if (is_one_of(node, kRandom)) return true;
  // Dropout draws only when its training_mode input says so.
  return node.is("Dropout") && node.in(2) != kNoValue;
}

bool is_expanding(const Node& node) {
  static constexpr std::array<std::string_view, 10> kExpanding = {
      "ConstantOfShape", "Expand",   "Tile",    "Range",           "OneHot", "Pad",
      "Resize",          "Upsample", "EyeLike", "DequantizeLinear"};
  return is_one_of(node, kExpanding);
}

std::optional<double> scalar_of(const Graph& graph, ValueId id) {
  const Tensor* t = graph.constant(id);
  if (t == nullptr || t->size() != 1 || t->rank() > 1 || t->dtype() == Dtype::kString)
    return std::nullopt;
  return to_float64(*t)[0];
}

bool is_scalar(const Graph& graph, ValueId id, double x) {
  const auto value = scalar_of(graph, id);
  return value && std::abs(*value - x) <= 1e-5 * std::abs(x);
}

std::optional<std::vector<std::int64_t>> ints_of(const Graph& graph, ValueId id) {
  const Tensor* t = graph.constant(id);
  if (t == nullptr || !is_integer(t->dtype())) return std::nullopt;
  return to_int64(*t);
}

std::optional<std::vector<std::int64_t>> perm_of(const Node& node, std::size_t rank) {
  std::vector<std::int64_t> perm = node.get_ints("perm");
  std::vector<std::int64_t> sorted(rank);
  std::iota(sorted.begin(), sorted.end(), 0);
  if (perm.empty()) perm.assign(sorted.rbegin(), sorted.rend());
  if (!std::is_permutation(perm.begin(), perm.end(), sorted.begin(), sorted.end()))
    return std::nullopt;
  return perm;
}

std::optional<IntList> ints_attribute_or_input(const Graph& graph, const Node& node,
                                               std::string_view attribute, std::size_t input) {
  if (node.has(attribute)) return IntList{true, node.get_ints(attribute)};
  if (node.in(input) == kNoValue) return IntList{};
  auto values = ints_of(graph, node.in(input));
  if (!values) return std::nullopt;
  return IntList{true, std::move(*values)};
}

}  // namespace intact
