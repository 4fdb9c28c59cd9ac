// fuse_attention: two products with a softmax between them become one operator.
//
//   MatMul(Softmax(f(MatMul(Pa(a), Pb(b)))), Pc(c)), then Q and Py where they follow
//     -> intact.Attention(a, b, c, operands of f...) perm_a, perm_b, perm_c, perm_y
//
// Pa, Pb, Pc, Py are transpositions or nothing, f a chain of reals (fuse_chain) or nothing. The
// scores, whose size grows with the square of the length, are then never stored as a whole, and the
// heads are read and written where they lie. The operator computes each value as the separate ones
// do (runtime/ops/attention_ops.cc).

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
      if (editor_.node(n).is("MatMul")) fuse(n);
    return editor_.finish();
  }

 private:
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

  void fuse(std::int32_t second) {
    const ValueId weights = editor_.node(second).in(0);
    const std::int32_t softmax = editor_.producer(weights, "Softmax");
    if (softmax < 0 || !editor_.single_use(weights)) return;
    ValueId scores = editor_.node(softmax).in(0);
    Node fused = intact_node(editor_.graph(), "Attention", {kNoValue, kNoValue, kNoValue});
    if (const std::int32_t f = editor_.producer(scores, "Chain", "intact"); f >= 0) {
      if (!take_chain(f, fused)) return;
      scores = editor_.node(f).in(0);
    }
    const std::int32_t first = editor_.producer(scores, "MatMul");
    if (first < 0 || !editor_.single_use(scores)) return;
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
      if (!is_plain_float(fused.inputs[i])) return;
      fused.attributes[i == 0 ? "perm_a" : i == 1 ? "perm_b" : "perm_c"] = perm;
    }
    take_end(second, r, std::move(fused));
  }

  // The attributes and operands of a chain of reals that nobody else reads.
  bool take_chain(std::int32_t f, Node& fused) const {
    const Node& chain = editor_.node(f);
    if (!editor_.single_use(chain.out(0)) || editor_.graph().value(chain.out(0)).quant)
      return false;
    for (const ValueId v : chain.inputs)
      if (v != kNoValue && (editor_.graph().value(v).quant || !is_plain_float(v))) return false;
    for (const char* name : {"chain", "chain_alpha", "chain_beta"})
      fused.attributes[name] = chain.attributes.at(name);
    Ints inputs = chain.get_ints("chain_inputs");
    fused.inputs.insert(fused.inputs.end(), chain.inputs.begin() + 1, chain.inputs.end());
    for (std::int64_t& i : inputs)
      if (i >= 0) i += 2;  // Behind a, b, c instead of behind x.
    fused.attributes["chain_inputs"] = inputs;
    return true;
  }

  // A Q and a transposition that follow, in either order; then puts the node in.
  void take_end(std::int32_t last, std::size_t rank, Node fused) {
    Ints perm_y(rank);
    std::iota(perm_y.begin(), perm_y.end(), 0);
    std::optional<Quant> map;
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
    editor_.rewrite(last, std::move(fused));
  }

  const ShapeAnalysis known_;
  Editor editor_;
};

}  // namespace

Status fuse_attention(Graph& graph, PassContext&) { return Matcher(graph).run(); }

}  // namespace intact
