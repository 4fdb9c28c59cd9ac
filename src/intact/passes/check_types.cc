#include "passes/check_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "passes/shape_analysis.h"

namespace intact {
namespace {

// Operators of ONNX whose inputs, from `first` on, all have one type.
struct OneType {
  std::string_view op;
  std::size_t first = 0;
};
constexpr std::array kOneType{
    OneType{"Add"},         OneType{"And"},           OneType{"Clip"}, OneType{"Concat"},
    OneType{"Conv"},        OneType{"ConvTranspose"}, OneType{"Div"},  OneType{"Equal"},
    OneType{"Gemm"},        OneType{"Greater"},       OneType{"Less"}, OneType{"GreaterOrEqual"},
    OneType{"LessOrEqual"}, OneType{"MatMul"},        OneType{"Max"},  OneType{"Mean"},
    OneType{"Min"},         OneType{"Mod"},           OneType{"Mul"},  OneType{"Or"},
    OneType{"PRelu"},       OneType{"Sub"},           OneType{"Sum"},  OneType{"Where", 1},
    OneType{"Xor"},
};

}  // namespace

Status check_types(const Graph& graph) {
  const ShapeAnalysis known(graph);
  for (const Node& node : graph.nodes) {
    const auto* row = std::find_if(kOneType.begin(), kOneType.end(),
                                   [&](const OneType& o) { return node.is(o.op); });
    if (row == kOneType.end()) continue;
    Dtype one = Dtype::kUndefined;
    for (std::size_t i = row->first; i < node.inputs.size(); ++i) {
      const Dtype dtype = node.inputs[i] == kNoValue ? Dtype::kUndefined : known[node.in(i)].dtype;
      if (dtype == Dtype::kUndefined) continue;
      if (one != Dtype::kUndefined && dtype != one)
        return fail(ErrorCode::kInvalidModel,
                    fmt::format("node '{}' ({}): its inputs are {} and {}; they must have one type",
                                node.name.empty() ? "unnamed" : node.name, node.op, name_of(one),
                                name_of(dtype)));
      one = dtype;
    }
  }
  return {};
}

}  // namespace intact
