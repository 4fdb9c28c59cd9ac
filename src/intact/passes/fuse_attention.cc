// fuse_attention: two products with a softmax between them become one operator.
//
//   MatMul(Softmax(f(MatMul(Pa(a), Pb(b)))), Pc(c)), then Q and Py where they follow
//     -> intact.Attention(a, b, c, operands of f...) perm_a, perm_b, perm_c, perm_y
//
// Pa, Pb, Pc, Py are transpositions or nothing, f a chain of reals (fuse_chain) or nothing. Either
// product may be QMatMul: a and b are then codes, or c is and so is what softmax leaves, behind a Q
// whose map becomes p_scale and p_zero_point. A factor a column between y, its heads joined, and a
// Q is input y_factor. The scores, whose size grows with the square of the length, are then never
// stored as a whole, and the heads are read and written where they lie. The operator computes each
// value as the separate ones do (runtime/ops/attention_ops.cc).

#include <numeric>

#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

class Matcher {
 public:
  explicit Matcher(Graph& graph) : known_(graph), editor_(graph) {}

  Status run() {
    const std::int32_t count = editor_.num_nodes();
    for (std::int32_t n = 0; n < count; ++n)
      if (is_product(editor_.node(n))) fuse(n);
    return editor_.finish();
  }

 private:
  static bool is_product(const Node& node) {
    return node.is("MatMul") || node.is("QMatMul", "intact");
  }

  [[nodiscard]] bool is_plain_float(ValueId v) const {
    return known_[v].dtype == Dtype::kFloat32 &&
           editor_.graph().value(v).type.layout == Layout::kPlain;
  }

  // The value that v is a transposition of, and how; v itself when it is none, or when its
  // innermost axis moves and must not.
  ValueId untransposed(ValueId v, std::size_t rank, bool innermost_stays, Ints& perm) const {
    perm.resize(rank);
    std::iota(perm.begin(), perm.end(), 0);
    const std::int32_t n = editor_.producer(v, "Transpose");
    if (n < 0 || editor_.graph().value(editor_.node(n).in(0)).type.layout != Layout::kPlain)
      return v;
    const Ints given = editor_.node(n).get_ints("perm");
    if (given.size() != rank || (innermost_stays && given.back() + 1 != std::ssize(given)))
      return v;
    perm = given;
    return editor_.node(n).in(0);
  }

  // The only reader of v, or -1.
  [[nodiscard]] std::int32_t reader(ValueId v) const {
    return editor_.single_use(v) ? editor_.readers(v)[0] : -1;
  }

  [[nodiscard]] bool product_before(ValueId v) const {
    const std::int32_t n = editor_.producer(v);
    return n >= 0 && is_product(editor_.node(n));
  }

  // One operator of a chain, left alone.
  static bool is_operator(const Node& node) {
    return node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Div");
  }

  // The Softmax whose result the product `second` multiplies, and the Q between them, or -1.
  [[nodiscard]] std::int32_t softmax_before(std::int32_t second, Node& fused) const {
    const Node& product = editor_.node(second);
    ValueId weights = product.in(0);
    if (!product.is("MatMul")) {
      const std::int32_t q = editor_.producer(weights, "QuantizeLinear");
      if (q < 0 || !editor_.single_use(weights) || product.has("chain")) return -1;
      const auto map = quantize_map(editor_.graph(), editor_.node(q));
      if (!map || map->scale[0] < 0x1p-100f || map->scale[0] > 0x1p100f) return -1;
      fused.attributes["p_scale"] = map->scale[0];
      fused.attributes["p_zero_point"] = std::int64_t{map->zero_point[0]};
      weights = editor_.node(q).in(0);
    }
    return editor_.single_use(weights) ? editor_.producer(weights, "Softmax") : -1;
  }

  void fuse(std::int32_t second) {
    Node fused = intact_node(editor_.graph(), "Attention", {kNoValue, kNoValue, kNoValue});
    const std::int32_t softmax = softmax_before(second, fused);
    if (softmax < 0) return;
    ValueId scores = editor_.node(softmax).in(0);
    const std::int32_t f = editor_.producer(scores);
    if (f < 0) return;
    std::size_t x = 0;  // The input of f that is the product.
    if (!is_product(editor_.node(f))) {
      if (is_operator(editor_.node(f)) && !product_before(editor_.node(f).in(0))) x = 1;
      scores = editor_.node(f).in(x);
    }
    const std::int32_t first = editor_.producer(scores);
    if (!product_before(scores) || !take_chain(first, 2, fused)) return;
    if (f != first &&
        !(is_operator(editor_.node(f)) ? take_operator(f, x, fused) : take_chain(f, 1, fused)))
      return;
    const ValueId factors[] = {editor_.node(first).in(0), editor_.node(first).in(1),
                               editor_.node(second).in(1)};
    const int rank = known_.rank(factors[0]);
    const Node& s = editor_.node(softmax);
    const std::int64_t axis = s.get_int("axis", editor_.graph().opset() < 13 ? 1 : -1);
    if (rank < 3 || (axis != -1 && axis != rank - 1)) return;
    const auto r = static_cast<std::size_t>(rank);
    for (std::size_t i = 0; i < 3; ++i) {
      if (known_.rank(factors[i]) != rank || editor_.graph().constant(factors[i]) != nullptr)
        return;
      Ints perm;
      fused.inputs[i] = untransposed(factors[i], r, i == 0, perm);
      const bool codes = !editor_.node(i < 2 ? first : second).is("MatMul");
      if (codes ? !are_plain_codes(factors[i], fused.inputs[i]) : !is_plain_float(fused.inputs[i]))
        return;
      fused.attributes[i == 0 ? "perm_a" : i == 1 ? "perm_b" : "perm_c"] = perm;
    }
    take_end(second, r, std::move(fused));
  }

  // Whether `from` is codes of the map that `to`, a transposition of it, has; says so.
  bool are_plain_codes(ValueId to, ValueId from) {
    const auto map = editor_.graph().value(to).quant;
    return map && map->scale.size() == 1 && known_[from].dtype == Dtype::kUint8 &&
           editor_.graph().value(from).type.layout == Layout::kPlain &&
           annotate(editor_.graph(), from, *map);
  }

  // True when reals that nobody else reads leave the node.
  [[nodiscard]] bool is_between(const Node& node) const {
    return editor_.single_use(node.out(0)) && !editor_.graph().value(node.out(0)).quant;
  }
  [[nodiscard]] bool is_operand(ValueId v) const {
    return v == kNoValue || (!editor_.graph().value(v).quant && is_plain_float(v));
  }

  // Adds the chain of a node, if it has one, and its operands, which begin at input `from`: reals.
  bool take_chain(std::int32_t n, std::size_t from, Node& fused) const {
    const Node& node = editor_.node(n);
    if (!is_between(node)) return false;
    if (!node.has("chain")) return is_product(node);
    const auto shift = std::ssize(fused.inputs) - static_cast<std::int64_t>(from);
    for (std::size_t i = from; i < node.inputs.size(); ++i) {
      if (!is_operand(node.inputs[i])) return false;
      fused.inputs.push_back(node.inputs[i]);
    }
    Ints inputs = node.get_ints("chain_inputs");
    for (std::int64_t& i : inputs)
      if (i >= 0) i += shift;
    append(fused, "chain", std::get<std::vector<std::string>>(node.attributes.at("chain")));
    append(fused, "chain_inputs", inputs);
    for (const char* name : {"chain_alpha", "chain_beta"})
      append(fused, name, std::get<std::vector<float>>(node.attributes.at(name)));
    return true;
  }

  // Adds an operator whose input x is the product.
  bool take_operator(std::int32_t n, std::size_t x, Node& fused) const {
    const Node& node = editor_.node(n);
    const ValueId operand = node.in(1 - x);
    if (!is_between(node) || !is_operand(operand) || operand == node.in(x)) return false;
    const bool reversed = x == 1 && (node.op == "Sub" || node.op == "Div");
    append(fused, "chain", std::vector{(reversed ? "R" : "") + node.op});
    append(fused, "chain_inputs", Ints{std::ssize(fused.inputs)});
    for (const char* name : {"chain_alpha", "chain_beta"}) append(fused, name, std::vector{0.0f});
    fused.inputs.push_back(operand);
    return true;
  }

  template <class List>
  static void append(Node& node, const char* name, const List& more) {
    const auto at = node.attributes.try_emplace(name, List{}).first;
    List& list = std::get<List>(at->second);
    list.insert(list.end(), more.begin(), more.end());
  }

  // A Q and a transposition that follow, in either order; then puts the node in.
  void take_end(std::int32_t last, std::size_t rank, Node fused) {
    Ints perm_y(rank);
    std::iota(perm_y.begin(), perm_y.end(), 0);
    std::optional<Quant> map = editor_.graph().value(editor_.node(last).out(0)).quant;
    bool turned = false;
    for (;;) {
      const std::int32_t next = reader(editor_.node(last).out(0));
      if (next < 0) break;
      const Node& node = editor_.node(next);
      const Ints perm = node.get_ints("perm");
      if (const auto q = quantize_map(editor_.graph(), node); q && !map) {
        map = q;
      } else if (!turned && node.is("Transpose") && perm.size() == rank &&
                 perm.back() + 1 == std::ssize(perm)) {
        perm_y = perm;
        turned = true;
      } else {
        break;
      }
      last = next;
    }
    const ValueId y = editor_.node(last).out(0);
    if (map && !annotate(editor_.graph(), y, *map)) return;
    fused.attributes["perm_y"] = perm_y;
    fused.name = editor_.node(last).name;
    const std::int32_t chain = map ? -1 : codes_of_columns(y, perm_y);
    if (chain < 0) {
      editor_.rewrite(last, std::move(fused));
      return;
    }
    // The codes are made here; what joins the axes joins codes.
    Node join = editor_.node(reader(y));
    ValueType type = editor_.graph().value(y).type;
    type.dtype = Dtype::kUint8;
    join.inputs[0] = editor_.add_value("", type);
    join.outputs.clear();
    const Quant codes = *editor_.graph().value(editor_.node(chain).out(0)).quant;
    if (!annotate(editor_.graph(), join.inputs[0], codes)) return;
    fused.attributes["y_factor"] = std::ssize(fused.inputs);
    fused.inputs.push_back(editor_.node(chain).in(1));
    fused.outputs = {join.inputs[0]};
    editor_.rewrite(last, std::move(fused));
    editor_.rewrite(chain, std::move(join));
  }

  // The node that multiplies by a constant factor a column and makes codes, behind a Reshape that
  // joins the last two axes of y; or -1. No row may have several factors for one column.
  [[nodiscard]] std::int32_t codes_of_columns(ValueId y, const Ints& perm_y) const {
    const std::size_t rank = perm_y.size();
    const std::int32_t join = reader(y);
    const auto& shape = known_.shape(y);
    if (join < 0 || !editor_.node(join).is("Reshape") || !shape ||
        perm_y[rank - 2] + 2 == std::ssize(perm_y))
      return -1;
    const Dim &heads = (*shape)[rank - 2], &width = (*shape)[rank - 1];
    const ValueId joined = editor_.node(join).out(0);
    const auto& flat = known_.shape(joined);
    const std::int32_t n = reader(joined);
    if (n < 0 || !heads.known() || !width.known() || !flat || flat->empty() ||
        flat->back() != Dim{heads.size * width.size})
      return -1;
    const Node& chain = editor_.node(n);
    const Tensor* factor = editor_.graph().constant(chain.in(1));
    const auto& map = editor_.graph().value(chain.out(0)).quant;
    const bool is_product = chain.is("Chain", "intact") && chain.inputs.size() == 2 &&
                            chain.in(0) == joined && chain.has("chain") &&
                            std::get<std::vector<std::string>>(chain.attributes.at("chain")) ==
                                std::vector<std::string>{"Mul"};
    return is_product && factor != nullptr && factor->dtype() == Dtype::kFloat32 &&
                   factor->rank() == 1 && factor->size() == flat->back().size && map &&
                   map->scale.size() == 1
               ? n
               : -1;
  }

  const ShapeAnalysis known_;
  Editor editor_;
};

}  // namespace

Status fuse_attention(Graph& graph, PassContext&) { return Matcher(graph).run(); }

}  // namespace intact
