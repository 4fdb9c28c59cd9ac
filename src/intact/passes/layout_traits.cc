#include "passes/layout_traits.h"

#include <algorithm>
#include <array>

namespace intact {
namespace {

constexpr std::array<std::string_view, 25> kSpatialOps = {
    "AveragePool", "BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace",
    "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GroupNormalization",
    "InstanceNormalization", "LRN", "LpPool", "MaxPool", "Resize", "SpaceToDepth", "Upsample",
    // Ours, in codes.
    "QAveragePool", "QConv", "QConvTranspose", "QDepthToSpace", "QGlobalAveragePool", "QMaxPool",
    "QResize", "QSpaceToDepth"};

constexpr std::array<std::string_view, 94> kFollowOps = {
    "Abs", "Acos", "Add", "And", "Asin", "Atan", "BitShift", "Cast", "CastLike", "Ceil", "Celu",
    "Clip", "Concat", "Cos", "DequantizeLinear", "Div", "Dropout", "DynamicQuantizeLinear", "Elu",
    "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "HardSwish6", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "LogSoftmax", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pad",
    "Pow", "QuantizeLinear", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Slice",
    "Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Sub", "Sum", "Tan", "Tanh",
    "ThresholdedRelu", "Where", "Xor",
    // Ours, in codes.
    "QAdd", "QClip", "QConcat", "QDiv", "QLeakyRelu", "QLut", "QMax", "QMin", "QMul", "QPad",
    "QReduceMean", "QSoftmax", "QSub"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& ops, std::string_view op) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

}  // namespace

LayoutKind layout_kind(const ShapeAnalysis& known, const Node& node) {
  if (!node.domain.empty() && node.domain != "intact") return LayoutKind::kPlain;
  if (node.is("Shape") || node.is("Size")) return LayoutKind::kNoData;
  const int rank = known.rank(node.in(0));
  if (contains(kSpatialOps, node.op)) {
    const bool counts = node.op == "MaxPool" && node.out(1) != kNoValue;
    return rank >= 3 && known.rank(node.out(0)) >= 3 && !counts ? LayoutKind::kSpatial
                                                                : LayoutKind::kPlain;
  }
  if (!contains(kFollowOps, node.op) || known.rank(node.out(0)) < 3) return LayoutKind::kPlain;
  const std::int64_t opset = known.graph().opset();
  if ((node.is("Softmax") || node.is("LogSoftmax")) && opset > 0 && opset < 13)
    return LayoutKind::kPlain;
  if (node.op.starts_with("Reduce") || node.op == "QReduceMean") {
    if (node.get_int("keepdims", 1) == 0) return LayoutKind::kPlain;
  }
  return LayoutKind::kFollow;
}

bool keeps_batch_and_channels(const ShapeAnalysis& known, const Node& node) {
  if (!node.is("Reshape")) return false;
  const auto& x = known.shape(node.in(0));
  const auto& y = known.shape(node.out(0));
  return x && y && x->size() >= 3 && y->size() >= 3 && same((*x)[0], (*y)[0]) &&
         same((*x)[1], (*y)[1]);
}

std::vector<std::int64_t> to_last_perm(std::size_t rank) {
  std::vector<std::int64_t> perm{0};
  for (std::size_t i = 2; i < rank; ++i) perm.push_back(static_cast<std::int64_t>(i));
  perm.push_back(1);
  return perm;
}

std::vector<std::int64_t> from_last_perm(std::size_t rank) {
  std::vector<std::int64_t> perm{0, static_cast<std::int64_t>(rank) - 1};
  for (std::size_t i = 1; i + 1 < rank; ++i) perm.push_back(static_cast<std::int64_t>(i));
  return perm;
}

}  // namespace intact
