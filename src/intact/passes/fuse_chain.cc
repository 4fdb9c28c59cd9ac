// fuse_chain: element-wise operators become part of the product before them, or of one another.
//
// A product (float or integer), or an element-wise operator, is followed as long as its result has
// one reader and that reader is element-wise; the operators met become the node's chain
// (runtime/ops/chain.h), and a QuantizeLinear at the end becomes the codes that the node leaves.
// Reals are rounded where they were before: an operator of the chain is still one float operation.
// Operands that are DQ of codes are read as codes.

#include <algorithm>
#include <array>
#include <limits>

#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

constexpr std::array<std::string_view, 22> kFunctions = {
    "Relu",        "LeakyRelu", "Abs",        "Neg",  "Floor",   "Ceil", "Sqrt",     "Reciprocal",
    "Exp",         "Log",       "Erf",        "Tanh", "Sigmoid", "Silu", "Softplus", "Elu",
    "HardSigmoid", "HardSwish", "HardSwish6", "Clip", "Gelu",    "Sign"};
constexpr std::array<std::string_view, 9> kProducts = {"Conv",    "ConvTranspose",  "Linear",
                                                       "QConv",   "QConvTranspose", "QLinear",
                                                       "QMatMul", "MatMul",         "Gemm"};

bool is_product(const Graph& graph, const Node& node) {
  if (!node.domain.empty() && node.domain != "intact") return false;
  if (std::find(kProducts.begin(), kProducts.end(), node.op) == kProducts.end()) return false;
  // Only products with constant weights run chains; a float MatMul of two tensors does not.
  if (node.op == "QMatMul") return true;
  return node.op != "MatMul" && node.op != "Gemm" && graph.constant(node.in(1)) != nullptr;
}

// One element-wise node as seen from its operand x.
struct Link {
  std::string name;
  ValueId operand = kNoValue;  // kNoValue: a function of x.
  float alpha = 0;
  float beta = 0;
};

std::optional<Link> link_of(const Graph& graph, const Node& node, ValueId x) {
  if (!node.domain.empty() && node.domain != "intact") return std::nullopt;
  Link link;
  if (std::find(kFunctions.begin(), kFunctions.end(), node.op) != kFunctions.end()) {
    if (node.in(0) != x) return std::nullopt;
    link.name = node.op;
    if (node.op == "Clip") {
      const auto bounds = clamp_of(graph, node);
      if (!bounds) return std::nullopt;
      link.alpha = static_cast<float>(bounds->lo);
      link.beta = static_cast<float>(bounds->hi);
    } else if (node.op == "Gelu") {
      if (node.get_string("approximate", "none") == "tanh") link.name = "GeluTanh";
    } else {
      link.alpha = node.get_float("alpha", node.op == "LeakyRelu"     ? 0.01f
                                           : node.op == "Elu"         ? 1.0f
                                           : node.op == "HardSigmoid" ? 0.2f
                                                                      : 0.0f);
      link.beta = node.get_float("beta", node.op == "HardSigmoid" ? 0.5f : 0.0f);
    }
    return link;
  }
  if (node.inputs.size() != 2 || node.in(0) == node.in(1)) return std::nullopt;
  const bool first = node.in(0) == x;
  if (!first && node.in(1) != x) return std::nullopt;
  link.operand = node.in(first ? 1 : 0);
  if (node.is("Add") || node.is("Mul") || node.is("Min") || node.is("Max"))
    link.name = node.op;
  else if (node.is("Sub") || node.is("Div"))
    link.name = first ? node.op : "R" + node.op;
  else
    return std::nullopt;
  return link;
}

bool is_one(const Dim& d) { return d.known() && d.size == 1; }

// True when rows of the product can meet the operand: a scalar, one value a channel, one row an
// image, or a tensor of the product's own shape and layout.
bool fits_product(const ShapeAnalysis& known, const Graph& graph, ValueId y, ValueId operand) {
  const auto& out = known.shape(y);
  const auto& shape = known.shape(operand);
  if (!shape) return false;
  if (std::all_of(shape->begin(), shape->end(), is_one)) return true;
  if (!out || shape->size() > out->size()) return false;
  const bool last = graph.value(y).type.layout == Layout::kChannelsLast;
  const bool same_layout = graph.value(operand).type.layout == graph.value(y).type.layout;
  if (graph.constant(operand) == nullptr && same_layout &&
      same(known.shape(operand), known.shape(y)))
    return true;
  const std::size_t lead = out->size() - shape->size();
  const std::size_t channel = last ? 1 : out->size() - 1;
  for (std::size_t axis = lead; axis < out->size(); ++axis) {
    const Dim& d = (*shape)[axis - lead];
    if (axis == channel) {
      if (!same(d, (*out)[axis])) return false;
    } else if (axis == 0) {
      if (!is_one(d) && !(last && same(d, (*out)[0]))) return false;
    } else if (!is_one(d)) {
      return false;
    }
  }
  return channel >= lead;
}

struct Chain {
  std::vector<std::string> names;
  std::vector<std::int64_t> inputs;
  std::vector<float> alpha, beta;

  void add(const Link& link, std::int64_t input) {
    names.push_back(link.name);
    inputs.push_back(input);
    alpha.push_back(link.alpha);
    beta.push_back(link.beta);
  }
  void store(Node& node) const {
    if (names.empty()) return;
    node.attributes["chain"] = names;
    node.attributes["chain_inputs"] = inputs;
    node.attributes["chain_alpha"] = alpha;
    node.attributes["chain_beta"] = beta;
  }
};

bool is_float(const ShapeAnalysis& known, ValueId v) { return known[v].dtype == Dtype::kFloat32; }

// The operand as the chain reads it: codes where it is DQ of codes.
ValueId operand_of(Editor& editor, ValueId operand) {
  const auto codes = dequantized_codes(editor, operand);
  if (!codes || !annotate(editor.graph(), codes->codes, codes->map)) return operand;
  return codes->codes;
}

// The map of a Q that the head may do. Convolutions of codes know maps a channel.
std::optional<Quant> end_map(const Graph& graph, const Node& head, const Node& q) {
  if (auto map = quantize_map(graph, q)) return map;
  if (!head.is("QConv", "intact") || !q.is("QuantizeLinear") ||
      graph.value(q.in(0)).type.layout != Layout::kChannelsLast)
    return std::nullopt;
  Dtype dtype = Dtype::kUndefined;
  auto map = map_of(graph, q, &dtype);
  return map && dtype == Dtype::kUint8 && map->axis == 1 ? map : std::nullopt;
}

void fuse_from(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  Node head = editor.node(n);
  const bool product = is_product(editor.graph(), head);
  Chain chain;
  bool worth = false;
  std::vector<std::int32_t> taken;
  ValueId y = head.out(0);
  const Node first = head;
  if (!product) {
    // x is the operand that is reals or codes of the result's own shape: the first, unless
    // constant.
    if (head.outputs.size() != 1 || !is_float(known, y)) return;
    const ValueId x = editor.graph().constant(head.in(0)) != nullptr && head.inputs.size() > 1
                          ? head.in(1)
                          : head.in(0);
    std::optional<Link> link;
    if (head.is("QuantizeLinear")) return;
    link = link_of(editor.graph(), head, x);
    if (!link || !is_float(known, x) ||
        (link->operand != kNoValue && !is_float(known, link->operand)))
      return;
    Node node;
    node.name = head.name;
    node.op = "Chain";
    node.domain = "intact";
    node.inputs = {operand_of(editor, x)};
    worth = node.inputs[0] != x;
    std::int64_t input = -1;
    if (link->operand != kNoValue) {
      node.inputs.push_back(operand_of(editor, link->operand));
      worth |= node.inputs[1] != link->operand;
      input = 1;
    }
    chain.add(*link, input);
    head = std::move(node);
  } else {
    if (head.has("chain")) return;
    if (head.op == "Conv" || head.op == "ConvTranspose" || head.op == "Linear")
      head.domain = "intact";
    // Inputs of a chain follow the bias: a missing one keeps its place.
    if (head.op != "QMatMul")
      while (head.inputs.size() < 3) head.inputs.push_back(kNoValue);
  }
  ValueId result = y;
  while (editor.single_use(y)) {
    const std::int32_t r = editor.readers(y)[0];
    const Node reader = editor.node(r);
    if (auto map = end_map(editor.graph(), head, reader);
        map && reader.in(0) == y && annotate(editor.graph(), reader.out(0), *map)) {
      taken.push_back(r);
      result = reader.out(0);
      break;
    }
    const auto link = link_of(editor.graph(), reader, y);
    if (!link || reader.outputs.size() != 1 || !is_float(known, reader.out(0))) break;
    if (link->operand != kNoValue) {
      if (!is_float(known, link->operand)) break;
      if (product && !fits_product(known, editor.graph(), y, link->operand)) break;
      const Tensor* constant = editor.graph().constant(link->operand);
      if (product && chain.names.empty() && link->name == "Add" && head.op == "QLinear" &&
          head.in(2) == kNoValue && constant != nullptr && constant->rank() == 1 &&
          constant->size() > 1) {
        head.inputs[2] =
            link->operand;  // The bias of a MatMul, exact in the accumulator's epilogue.
        taken.push_back(r);
        result = y = reader.out(0);
        continue;
      }
      head.inputs.push_back(operand_of(editor, link->operand));
      chain.add(*link, static_cast<std::int64_t>(head.inputs.size()) - 1);
    } else {
      chain.add(*link, -1);
    }
    taken.push_back(r);
    result = y = reader.out(0);
  }
  if (taken.empty() && !worth) return;
  editor.graph().opsets.try_emplace("intact", 1);
  chain.store(head);
  head.outputs = {result};
  // What was between disappears; the head takes the place of the last node taken, or of itself.
  const Layout layout = editor.graph().value(first.out(0)).type.layout;
  if (taken.empty()) {
    editor.rewrite(n, std::move(head));
  } else {
    const std::int32_t last = taken.back();
    editor.rewrite(last, std::move(head));
  }
  editor.graph().value(result).type.layout = layout;
}

// Q(DQ(q)): nothing when the maps are equal, a table otherwise.
void requantize(Editor& editor, std::int32_t n) {
  const Node node = editor.node(n);
  const auto map = quantize_map(editor.graph(), node);
  if (!map) return;
  const auto codes = dequantized_codes(editor, node.in(0));
  if (!codes) return;
  if (codes->map == *map && editor.replace_uses(node.out(0), codes->codes)) return;
  if (!annotate(editor.graph(), codes->codes, codes->map) ||
      !annotate(editor.graph(), node.out(0), *map))
    return;
  Node table = intact_node(editor.graph(), "Chain", {codes->codes});
  table.name = node.name;
  editor.graph().value(node.out(0)).type.layout = editor.graph().value(codes->codes).type.layout;
  editor.rewrite(n, std::move(table));
}

}  // namespace

Status fuse_chain(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n)
    if (editor.node(n).is("QuantizeLinear")) requantize(editor, n);
  for (const bool products : {true, false})
    for (std::int32_t n = 0; n < count; ++n)
      if (!editor.node(n).op.empty() && is_product(editor.graph(), editor.node(n)) == products)
        fuse_from(editor, known, n);
  return editor.finish();
}

}  // namespace intact
