#include "ir/parse.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "ir/lexer.h"
#include "ir/synthetic.h"
#include "ir/text.h"

namespace intact {
namespace {

using Kind = Token::Kind;

constexpr int kMaxDepth = 16;  // Graphs in graphs.

class Parser {
 public:
  Parser(std::string_view text, const ParseOptions& options)
      : text_(text), lexer_(text), bytes_left_(options.max_constant_bytes) {}

  Result<Graph> whole() {
    INTACT_TRY(advance());
    INTACT_ASSIGN(Graph g, graph(0));
    if (token_.kind != Kind::kEnd)
      return fail_at(token_, fmt::format("{} after the end of the graph", describe(token_)));
    return g;
  }

 private:
  // A graph under construction: the first mention of each value, and whether it is defined yet.
  struct Scope {
    Graph graph;
    std::unordered_map<std::string, ValueId> ids;
    std::vector<Token> mention;
    std::vector<bool> defined;
  };

  Status advance() {
    INTACT_ASSIGN(token_, lexer_.next());
    return {};
  }
  [[nodiscard]] tl::unexpected<Error> unexpected(std::string_view wanted) const {
    return fail_at(token_, fmt::format("expected {}, found {}", wanted, describe(token_)));
  }
  Status expect(char c) {
    if (!token_.is_punct(c)) return unexpected(fmt::format("'{}'", c));
    return advance();
  }
  // Takes the punctuation if it is next.
  Result<bool> accept(char c) {
    if (!token_.is_punct(c)) return false;
    INTACT_TRY(advance());
    return true;
  }
  Result<bool> accept_word(std::string_view word) {
    if (!token_.is(Kind::kWord, word)) return false;
    INTACT_TRY(advance());
    return true;
  }
  Result<std::string> string(std::string_view what) {
    if (token_.kind != Kind::kString) return unexpected(what);
    std::string s = std::move(token_.text);
    INTACT_TRY(advance());
    return s;
  }
  Result<std::string> word_or_string(std::string_view what) {
    if (token_.kind != Kind::kString && token_.kind != Kind::kWord) return unexpected(what);
    std::string s = std::move(token_.text);
    INTACT_TRY(advance());
    return s;
  }
  Result<std::int64_t> integer(std::string_view what) {
    std::int64_t x = 0;
    const char* end = token_.text.data() + token_.text.size();
    const auto [stop, error] = std::from_chars(token_.text.data(), end, x);
    if (token_.kind != Kind::kNumber || error != std::errc{} || stop != end)
      return unexpected(what);
    INTACT_TRY(advance());
    return x;
  }
  // Parses `[a, b, ...]`, calling item() at each element.
  template <class F>
  Status list(F&& item) {
    INTACT_TRY(expect('['));
    if (token_.is_punct(']')) return advance();
    while (true) {
      INTACT_TRY(item());
      INTACT_ASSIGN(const bool more, accept(','));
      if (!more) return expect(']');
    }
  }

  Result<Graph> graph(int depth);
  Status statement(Scope& scope, int depth);
  Status node(Scope& scope, int depth);
  Result<ValueId> reference(Scope& scope);
  Result<ValueId> definition(Scope& scope, bool may_be_omitted);
  Result<ValueType> type();
  Result<std::vector<Dim>> dims();
  Result<Quant> quant();
  Result<Tensor> constant(Dtype dtype, const std::vector<Dim>& dims);
  Result<Tensor> elements(Dtype dtype, Shape shape);
  Result<Tensor> random(Dtype dtype, Shape shape);
  Result<Attribute> attribute(int depth);
  Result<Attribute> list_attribute();
  Result<float> float_value();
  Status attributes(Node& node, int depth);

  std::string_view text_;
  Lexer lexer_;
  Token token_;
  std::size_t bytes_left_;
};

Result<std::vector<Dim>> Parser::dims() {
  std::vector<Dim> out;
  INTACT_TRY(list([&]() -> Status {
    if (out.size() == kMaxRank)
      return fail_at(token_, fmt::format("a shape with more than {} dimensions", kMaxRank));
    if (token_.is_punct('?')) {
      out.emplace_back();
      return advance();
    }
    if (token_.kind == Kind::kNumber) {
      const Token at = token_;
      INTACT_ASSIGN(const std::int64_t size, integer("a size"));
      if (size < 0) return fail_at(at, "a negative size");
      out.emplace_back(size);
      return {};
    }
    INTACT_ASSIGN(std::string symbol, word_or_string("a size: a number, a symbol or '?'"));
    out.push_back(Dim::symbolic(std::move(symbol)));
    return {};
  }));
  return out;
}

Result<ValueType> Parser::type() {
  ValueType t;
  const auto dtype =
      token_.kind == Kind::kWord ? dtype_from_name(token_.text) : std::optional<Dtype>{};
  if (!dtype) return unexpected("a type such as float32");
  t.dtype = *dtype;
  INTACT_TRY(advance());
  const char next = lexer_.peek();
  if (token_.is_punct('[') && next == '*') {
    INTACT_TRY(advance());
    INTACT_TRY(advance());
    INTACT_TRY(expect(']'));
  } else {
    INTACT_ASSIGN(t.shape, dims());
  }
  INTACT_ASSIGN(const bool channels_last, accept_word("channels_last"));
  if (channels_last) t.layout = Layout::kChannelsLast;
  return t;
}

Result<float> Parser::float_value() {
  Tensor one(Dtype::kFloat32, {});
  INTACT_ASSIGN(const bool bits, accept_word("bits"));
  const bool number = token_.kind == Kind::kNumber || token_.kind == Kind::kWord;
  if (!number || (bits && !token_.text.starts_with("0x")) || !store_element(one, 0, token_.text))
    return unexpected("a number");
  INTACT_TRY(advance());
  return one.values<float>()[0];
}

Result<Quant> Parser::quant() {
  Quant q;
  INTACT_TRY(expect('('));
  do {
    const Token at = token_;
    INTACT_ASSIGN(const std::string key, word_or_string("scale, zero_point or axis"));
    INTACT_TRY(expect('='));
    if (token_.is(Kind::kWord, "dense"))
      return fail_at(token_, "only a hash of the numbers: they are not in the text");
    if (key == "scale") {
      INTACT_TRY(list([&]() -> Status {
        INTACT_ASSIGN(const float x, float_value());
        q.scale.push_back(x);
        return {};
      }));
    } else if (key == "zero_point") {
      const auto zero_point = [&]() -> Result<std::int32_t> {
        const Token where = token_;
        INTACT_ASSIGN(const std::int64_t x, integer("an integer"));
        if (x < INT32_MIN || x > INT32_MAX) return fail_at(where, "a zero point beyond 32 bits");
        return static_cast<std::int32_t>(x);
      };
      INTACT_ASSIGN(const bool splat, accept_word("splat"));
      if (splat) {
        INTACT_TRY(expect('('));
        INTACT_ASSIGN(const std::int32_t x, zero_point());
        INTACT_TRY(expect(','));
        const Token where = token_;
        INTACT_ASSIGN(const std::int64_t n, integer("a count"));
        if (n < 0 || n > (1 << 20)) return fail_at(where, "a count outside [0, 2^20]");
        q.zero_point.assign(static_cast<std::size_t>(n), x);
        INTACT_TRY(expect(')'));
      } else {
        INTACT_TRY(list([&]() -> Status {
          INTACT_ASSIGN(const std::int32_t x, zero_point());
          q.zero_point.push_back(x);
          return {};
        }));
      }
    } else if (key == "axis") {
      const Token where = token_;
      INTACT_ASSIGN(const std::int64_t axis, integer("an axis"));
      if (axis < -1 || axis >= kMaxRank)
        return fail_at(where, fmt::format("an axis outside [-1, {})", kMaxRank));
      q.axis = static_cast<int>(axis);
    } else {
      return fail_at(at, "expected scale, zero_point or axis");
    }
    INTACT_ASSIGN(const bool more, accept(','));
    if (!more) break;
  } while (true);
  INTACT_TRY(expect(')'));
  return q;
}

Result<Tensor> Parser::elements(Dtype dtype, Shape shape) {
  Tensor t(dtype, std::move(shape));
  std::int64_t i = 0;
  const auto element = [&]() -> Status {
    if (i >= t.size())
      return fail_at(
          token_, fmt::format("more than the {} elements of {}", t.size(), to_string(t.shape())));
    const bool number = token_.kind == Kind::kNumber || token_.kind == Kind::kWord;
    if (!number || !store_element(t, i, token_.text))
      return unexpected(fmt::format("an element of type {}", name_of(dtype)));
    ++i;
    return advance();
  };
  if (token_.is_punct('[')) {
    const Token at = token_;
    INTACT_TRY(list(element));
    if (i != t.size())
      return fail_at(
          at, fmt::format("{} elements for the {} of {}", i, t.size(), to_string(t.shape())));
    return t;
  }
  if (t.rank() != 0) return unexpected("'[', splat(x), iota or random(seed)");
  INTACT_TRY(element());
  return t;
}

Result<Tensor> Parser::random(Dtype dtype, Shape shape) {
  INTACT_TRY(expect('('));
  const Token at = token_;
  INTACT_ASSIGN(const std::int64_t seed, integer("a seed"));
  if (seed < 0 || seed > UINT32_MAX) return fail_at(at, "a seed outside [0, 2^32)");
  std::optional<std::pair<double, double>> range;
  INTACT_ASSIGN(const bool ranged, accept(','));
  if (ranged) {
    const Token lo_at = token_;
    INTACT_ASSIGN(const float lo, float_value());
    INTACT_TRY(expect(','));
    INTACT_ASSIGN(const float hi, float_value());
    if (!std::isfinite(lo) || !std::isfinite(hi) || lo > hi)
      return fail_at(lo_at, "a range whose ends are not finite or not in order");
    range.emplace(lo, hi);
  }
  INTACT_TRY(expect(')'));
  return random_tensor(dtype, std::move(shape), static_cast<std::uint64_t>(seed), range);
}

Result<Tensor> Parser::constant(Dtype dtype, const std::vector<Dim>& dims) {
  const Token at = token_;
  Shape shape;
  for (const Dim& dim : dims) {
    if (!dim.known()) return fail_at(at, "a constant needs a shape of numbers");
    shape.push_back(dim.size);
  }
  if (const Status ok = check_shape(shape); !ok) return fail_at(at, ok.error().message);
  if (bits_of(dtype) == 0)
    return fail_at(at, fmt::format("no constants of type {}", name_of(dtype)));
  const bool made_up = token_.is(Kind::kWord, "iota") || token_.is(Kind::kWord, "random");
  const std::int64_t n = num_elements(shape);
  const std::size_t bytes = bytes_of(dtype, n) + kAlignBytes +
                            (made_up ? static_cast<std::size_t>(n) * sizeof(double) : 0);
  if (bytes > bytes_left_)
    return fail_at(at, "the constants need more memory than the limit; raise max_constant_bytes");
  bytes_left_ -= bytes;
  if (token_.is(Kind::kWord, "dense"))
    return fail_at(at,
                   "a constant of which the text has only a hash; use its elements, splat(x), iota "
                   "or random(seed)");
  INTACT_ASSIGN(const bool iota, accept_word("iota"));
  if (iota) return iota_tensor(dtype, std::move(shape));
  INTACT_ASSIGN(const bool from_seed, accept_word("random"));
  if (from_seed) return random(dtype, std::move(shape));
  INTACT_ASSIGN(const bool splat, accept_word("splat"));
  if (!splat) return elements(dtype, std::move(shape));
  INTACT_TRY(expect('('));
  Tensor t(dtype, std::move(shape));
  const std::string text = token_.text;
  Tensor one(dtype, {1});
  const bool number = token_.kind == Kind::kNumber || token_.kind == Kind::kWord;
  if (!number || !store_element(one, 0, text))
    return unexpected(fmt::format("an element of type {}", name_of(dtype)));
  if (bits_of(dtype) == 4) {
    for (std::int64_t i = 0; i < t.size(); ++i) store_element(t, i, text);
  } else {
    for (std::size_t i = 0; i < t.bytes(); i += one.bytes())
      std::memcpy(t.raw() + i, one.raw(), one.bytes());
  }
  INTACT_TRY(advance());
  INTACT_TRY(expect(')'));
  return t;
}

Result<Attribute> Parser::list_attribute() {
  std::vector<std::int64_t> ints;
  std::vector<float> floats;
  std::vector<std::string> strings;
  INTACT_TRY(list([&]() -> Status {
    if (token_.kind == Kind::kString) {
      strings.push_back(std::move(token_.text));
      return advance();
    }
    const bool integral = token_.kind == Kind::kNumber &&
                          token_.text.find_first_not_of("-0123456789") == std::string::npos;
    if (integral) {
      INTACT_ASSIGN(const std::int64_t x, integer("a 64-bit integer"));
      ints.push_back(x);
      return {};
    }
    INTACT_ASSIGN(const float x, float_value());
    floats.push_back(x);
    return {};
  }));
  if (int{!ints.empty()} + int{!floats.empty()} + int{!strings.empty()} > 1)
    return fail_at(token_, "a list mixes integers, floats or strings; write floats as 1.0");
  if (!floats.empty()) return Attribute(std::move(floats));
  if (!strings.empty()) return Attribute(std::move(strings));
  return Attribute(std::move(ints));
}

Result<Attribute> Parser::attribute(int depth) {
  if (token_.kind == Kind::kString) {
    std::string s = std::move(token_.text);
    INTACT_TRY(advance());
    return Attribute(std::move(s));
  }
  if (token_.is_punct('[')) return list_attribute();
  if (token_.is(Kind::kWord, "graph")) {
    INTACT_ASSIGN(Graph g, graph(depth + 1));
    return Attribute(std::make_shared<Graph>(std::move(g)));
  }
  for (const std::string_view word : {"ints", "floats", "strings"}) {
    INTACT_ASSIGN(const bool empty_list, accept_word(word));
    if (!empty_list) continue;
    INTACT_TRY(expect('['));
    INTACT_TRY(expect(']'));
    if (word == "floats") return Attribute(std::vector<float>{});
    if (word == "strings") return Attribute(std::vector<std::string>{});
    return Attribute(std::vector<std::int64_t>{});
  }
  INTACT_ASSIGN(const bool is_tensor, accept_word("tensor"));
  if (is_tensor) {
    INTACT_TRY(expect('<'));
    const Token at = token_;
    INTACT_ASSIGN(const ValueType t, type());
    if (!t.shape) return fail_at(at, "a tensor needs a shape of numbers");
    INTACT_TRY(expect('>'));
    INTACT_ASSIGN(Tensor tensor, constant(t.dtype, *t.shape));
    return Attribute(std::move(tensor));
  }
  const bool integral = token_.kind == Kind::kNumber &&
                        token_.text.find_first_not_of("-0123456789") == std::string::npos;
  if (integral) {
    INTACT_ASSIGN(const std::int64_t x, integer("a 64-bit integer"));
    return Attribute(x);
  }
  INTACT_ASSIGN(const float x, float_value());
  return Attribute(x);
}

Status Parser::attributes(Node& node, int depth) {
  INTACT_TRY(expect('{'));
  while (!token_.is_punct('}')) {
    const Token at = token_;
    INTACT_ASSIGN(std::string key, word_or_string("the name of an attribute"));
    INTACT_TRY(expect('='));
    INTACT_ASSIGN(Attribute value, attribute(depth));
    if (!node.attributes.emplace(key, std::move(value)).second)
      return fail_at(at, fmt::format("attribute '{}' is given twice", printable(key)));
    INTACT_ASSIGN(const bool more, accept(','));
    if (!more) break;
  }
  return expect('}');
}

Result<ValueId> Parser::reference(Scope& scope) {
  INTACT_ASSIGN(const bool omitted, accept_word("_"));
  if (omitted) return kNoValue;
  if (token_.kind != Kind::kValue) return unexpected("a value such as %x, or '_'");
  const auto next = static_cast<ValueId>(scope.graph.values.size());
  const auto [it, fresh] = scope.ids.emplace(token_.text, next);
  if (fresh) {
    Value v;
    v.name = token_.text;
    scope.graph.values.push_back(std::move(v));
    scope.mention.push_back(token_);
    scope.defined.push_back(false);
  }
  const ValueId id = it->second;
  INTACT_TRY(advance());
  return id;
}

Result<ValueId> Parser::definition(Scope& scope, bool may_be_omitted) {
  const Token at = token_;
  INTACT_ASSIGN(const ValueId id, reference(scope));
  if (id == kNoValue) {
    if (!may_be_omitted) return fail_at(at, "'_' is not a value");
    return id;
  }
  const auto i = static_cast<std::size_t>(id);
  Value& v = scope.graph.value(id);
  if (scope.defined[i]) return fail_at(at, fmt::format("%{} is defined twice", printable(v.name)));
  scope.defined[i] = true;
  INTACT_ASSIGN(const bool typed, accept(':'));
  if (typed) {
    INTACT_ASSIGN(v.type, type());
  }
  INTACT_ASSIGN(const bool quantized, accept_word("quant"));
  if (quantized) {
    INTACT_ASSIGN(v.quant, quant());
  }
  INTACT_ASSIGN(const bool documented, accept_word("doc"));
  if (documented) {
    INTACT_ASSIGN(v.doc_string, string("a string"));
  }
  return id;
}

Status Parser::node(Scope& scope, int depth) {
  Node n;
  INTACT_ASSIGN(const bool no_outputs, accept('('));
  if (no_outputs) {
    INTACT_TRY(expect(')'));
  } else {
    bool more = true;
    while (more) {
      INTACT_ASSIGN(const ValueId id, definition(scope, /*may_be_omitted=*/true));
      n.outputs.push_back(id);
      INTACT_ASSIGN(more, accept(','));
    }
  }
  INTACT_TRY(expect('='));
  // "domain"."op", domain.Op, or either quoted: a quoted domain is followed by a dot.
  const bool bare = token_.kind == Kind::kWord;
  INTACT_ASSIGN(n.op, word_or_string("an operator such as Conv or intact.QConv"));
  if (bare) {
    if (const auto dot = n.op.rfind('.'); dot != std::string::npos) {
      n.domain = n.op.substr(0, dot);
      n.op = n.op.substr(dot + 1);
      if (n.op.empty()) {  // domain."op"
        INTACT_ASSIGN(n.op, string("the name of an operator"));
      }
    }
  } else if (token_.kind == Kind::kNumber && token_.text[0] == '.') {  // "domain".Op, ."op"
    n.domain = std::move(n.op);
    n.op = token_.text.substr(1);
    INTACT_TRY(advance());
    if (n.op.empty()) {
      INTACT_ASSIGN(n.op, string("the name of an operator"));
    }
  }
  if (n.op.empty()) return unexpected("the name of an operator");
  INTACT_TRY(expect('('));
  bool captured = false;
  while (!token_.is_punct(')')) {
    if (!captured) {
      INTACT_ASSIGN(captured, accept('|'));
    }
    INTACT_ASSIGN(const ValueId id, reference(scope));
    n.inputs.push_back(id);
    if (captured) ++n.num_captured;
    INTACT_ASSIGN(const bool more, accept(','));
    if (!more && !(token_.is_punct('|') && !captured)) break;
  }
  INTACT_TRY(expect(')'));
  if (token_.is_punct('{')) INTACT_TRY(attributes(n, depth));
  if (token_.kind == Kind::kNode) {
    n.name = std::move(token_.text);
    INTACT_TRY(advance());
  }
  INTACT_ASSIGN(const bool documented, accept_word("doc"));
  if (documented) {
    INTACT_ASSIGN(n.doc_string, string("a string"));
  }
  while (token_.is(Kind::kWord, "metadata") && lexer_.peek() == '"') {
    INTACT_TRY(advance());
    INTACT_ASSIGN(std::string key, string("a key in quotes"));
    INTACT_TRY(expect('='));
    INTACT_ASSIGN(n.metadata[key], string("a value in quotes"));
  }
  scope.graph.nodes.push_back(std::move(n));
  return {};
}

Status Parser::statement(Scope& scope, int depth) {
  Graph& g = scope.graph;
  if (token_.kind != Kind::kWord || token_.text == "_") return node(scope, depth);
  const Token at = token_;
  const std::string word = token_.text;
  INTACT_TRY(advance());
  if (word == "input") {
    INTACT_ASSIGN(const ValueId id, definition(scope, /*may_be_omitted=*/false));
    g.inputs.push_back(id);
  } else if (word == "output") {
    const Token value_at = token_;
    INTACT_ASSIGN(const ValueId id, reference(scope));
    if (id == kNoValue) return fail_at(value_at, "'_' is not a value");
    g.outputs.push_back(id);
  } else if (word == "const") {
    const Token value_at = token_;
    INTACT_ASSIGN(const ValueId id, definition(scope, /*may_be_omitted=*/false));
    INTACT_TRY(expect('='));
    const ValueType t = g.value(id).type;
    if (!t.shape) return fail_at(value_at, "a constant needs a type and a shape of numbers");
    INTACT_ASSIGN(g.value(id).constant, constant(t.dtype, *t.shape));
  } else if (word == "opset") {
    std::string domain;
    if (token_.kind != Kind::kNumber) {
      INTACT_ASSIGN(domain, word_or_string("a domain or a version"));
    }
    INTACT_ASSIGN(g.opsets[domain], integer("a version"));
  } else if (word == "ir_version") {
    INTACT_ASSIGN(g.ir_version, integer("a version"));
  } else if (word == "model_version") {
    INTACT_ASSIGN(g.model.model_version, integer("a version"));
  } else if (word == "metadata") {
    INTACT_ASSIGN(const std::string key, string("a key in quotes"));
    INTACT_TRY(expect('='));
    INTACT_ASSIGN(g.metadata[key], string("a value in quotes"));
  } else if (word == "producer") {
    INTACT_ASSIGN(g.producer_name, string("a string"));
  } else if (word == "producer_version") {
    INTACT_ASSIGN(g.model.producer_version, string("a string"));
  } else if (word == "domain") {
    INTACT_ASSIGN(g.model.domain, string("a string"));
  } else if (word == "model_doc") {
    INTACT_ASSIGN(g.model.doc_string, string("a string"));
  } else if (word == "doc") {
    INTACT_ASSIGN(g.doc_string, string("a string"));
  } else {
    return fail_at(at, fmt::format("expected input, const, output, opset or a node such as "
                                   "`%y = Relu(%x)`, found '{}'",
                                   printable(word, 40)));
  }
  return {};
}

Result<Graph> Parser::graph(int depth) {
  if (depth > kMaxDepth)
    return fail_at(token_, fmt::format("graphs nested deeper than {}", kMaxDepth));
  if (!token_.is(Kind::kWord, "graph")) return unexpected("graph \"name\" {");
  INTACT_TRY(advance());
  Scope scope;
  INTACT_ASSIGN(scope.graph.name, word_or_string("the name of the graph"));
  INTACT_TRY(expect('{'));
  while (!token_.is_punct('}')) {
    if (token_.kind == Kind::kEnd) return unexpected("'}' at the end of the graph");
    INTACT_TRY(statement(scope, depth));
  }
  for (std::size_t v = 0; v < scope.defined.size(); ++v)
    if (!scope.defined[v])
      return fail_at(scope.mention[v],
                     fmt::format("%{} is not defined", printable(scope.graph.values[v].name)));
  INTACT_TRY(advance());
  scope.graph.index_names();
  return std::move(scope.graph);
}

}  // namespace

Result<Graph> parse_graph(std::string_view text, const ParseOptions& options) {
  return Parser(text, options).whole();
}

}  // namespace intact
