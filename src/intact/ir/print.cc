#include "ir/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ir/text.h"

namespace intact {
namespace {

std::string spelled(char sigil, const std::string& name) {
  return sigil + (is_bare_name(name) ? name : quoted(name));
}

std::string identifier(const std::string& text) {
  return is_identifier(text) ? text : quoted(text);
}

std::string dim_text(const Dim& dim) {
  if (dim.known()) return fmt::format("{}", dim.size);
  return dim.symbol.empty() ? "?" : identifier(dim.symbol);
}

// A float attribute must not look like an integer.
std::string float_attribute(float x) {
  std::string text = number_text(x);
  if (text.find_first_of(".einx") == std::string::npos) text += ".0";
  return text.starts_with("0x") ? "bits " + text : text;
}

template <class T, class F>
std::string list_text(const std::vector<T>& list, F&& text_of) {
  std::string out = "[";
  for (const T& x : list) {
    if (out.size() > 1) out += ", ";
    out += text_of(x);
  }
  return out + "]";
}

// True when every element has the same bytes.
bool all_equal(const Tensor& t) {
  const std::size_t width = static_cast<std::size_t>(std::max(bits_of(t.dtype()) / 8, 1));
  if (bits_of(t.dtype()) == 4) {
    if (element_text(t, 0) != element_text(t, 1)) return false;
    if (element_text(t, 0) != element_text(t, t.size() - 1)) return false;
    return std::memcmp(t.raw(), t.raw() + 1, static_cast<std::size_t>(t.size()) / 2 - 1) == 0;
  }
  return std::memcmp(t.raw(), t.raw() + width, t.bytes() - width) == 0;
}

bool is_iota(const Tensor& t) {
  if (bits_of(t.dtype()) < 16 || t.dtype() == Dtype::kFloat16 || t.dtype() == Dtype::kBFloat16)
    return false;
  std::int64_t i = 0;
  while (i < t.size() && element_text(t, i) == fmt::format("{}", i)) ++i;
  return i == t.size();
}

// The form of a constant of two elements or more that is not spelled out.
std::string large_constant(const Tensor& t) {
  if (all_equal(t)) return fmt::format("splat({})", element_text(t, 0));
  if (is_iota(t)) return "iota";
  return fmt::format("dense<hash={:016x}>", hash_of({t.raw(), t.bytes()}));
}

std::string constant_text(const Tensor& t, const PrintOptions& options) {
  if (!t.defined() || bits_of(t.dtype()) == 0) return "dense<undefined>";
  const std::int64_t n = t.size();
  if (t.rank() == 0) return element_text(t, 0);
  if (n > std::max<std::int64_t>(options.inline_elements, 1)) return large_constant(t);
  std::string out = "[";
  for (std::int64_t i = 0; i < n; ++i) {
    if (i > 0) out += ", ";
    out += element_text(t, i);
  }
  return out + "]";
}

std::string tensor_type(const Tensor& t) {
  return fmt::format("{}{}", name_of(t.dtype()), to_string(t.shape()));
}

std::string quant_text(const Quant& quant, const PrintOptions& options) {
  const auto limit = static_cast<std::uint64_t>(options.inline_elements);
  std::string out = " quant(scale=";
  out += quant.scale.size() <= limit
             ? list_text(quant.scale, [](float s) { return number_text(s); })
             : fmt::format("dense<hash={:016x}>", hash_of(std::as_bytes(std::span(quant.scale))));
  const auto zero = [](std::int32_t z) { return z == 0; };
  out += ", zero_point=";
  out +=
      quant.zero_point.size() <= limit
          ? list_text(quant.zero_point, [](std::int32_t z) { return fmt::format("{}", z); })
      : std::all_of(quant.zero_point.begin(), quant.zero_point.end(), zero)
          ? fmt::format("splat(0, {})", quant.zero_point.size())
          : fmt::format("dense<hash={:016x}>", hash_of(std::as_bytes(std::span(quant.zero_point))));
  if (quant.axis != -1) out += fmt::format(", axis={}", quant.axis);
  return out + ")";
}

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options) {}

  void graph(const Graph& g, int depth);
  std::string node(const Graph& g, const Node& n, int depth);
  std::string take() { return std::move(out_); }

 private:
  void line(int depth, std::string_view text) {
    out_.append(static_cast<std::size_t>(depth) * 2, ' ');
    out_ += text;
    out_ += '\n';
  }
  static std::string ref(const Graph& g, ValueId id) {
    if (id == kNoValue) return "_";
    const bool known = id >= 0 && static_cast<std::size_t>(id) < g.values.size();
    return known ? spelled('%', g.value(id).name) : fmt::format("%\"dangling id {}\"", id);
  }
  std::string definition(const Graph& g, ValueId id) const {
    std::string text = ref(g, id);
    if (id < 0 || static_cast<std::size_t>(id) >= g.values.size()) return text;
    const Value& v = g.value(id);
    const std::string type =
        v.constant && v.constant->defined()
            ? tensor_type(*v.constant) + (v.type.layout == Layout::kPlain ? "" : " channels_last")
            : print_type(v.type);
    if (!type.empty()) text += ": " + type;
    if (v.quant) text += quant_text(*v.quant, options_);
    if (!v.doc_string.empty()) text += " doc " + quoted(v.doc_string);
    return text;
  }
  std::string attribute(const Attribute& a, int depth);

  PrintOptions options_;
  std::string out_;
};

std::string Printer::attribute(const Attribute& a, int depth) {
  if (const auto* i = std::get_if<std::int64_t>(&a)) return fmt::format("{}", *i);
  if (const auto* f = std::get_if<float>(&a)) return float_attribute(*f);
  if (const auto* s = std::get_if<std::string>(&a)) return quoted(*s);
  if (const auto* t = std::get_if<Tensor>(&a))
    return fmt::format("tensor<{}> {}", tensor_type(*t), constant_text(*t, options_));
  if (const auto* sub = std::get_if<std::shared_ptr<Graph>>(&a)) {
    if (*sub == nullptr) return "graph \"\" {}";
    Printer inner(options_);
    inner.graph(**sub, depth + 1);
    std::string text = inner.take();
    text.pop_back();  // The attribute's line goes on.
    return text.substr(text.find_first_not_of(' '));
  }
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&a))
    return list_text(*list, [](std::int64_t x) { return fmt::format("{}", x); });
  if (const auto* list = std::get_if<std::vector<float>>(&a))
    return list->empty() ? "floats[]" : list_text(*list, float_attribute);
  const auto& list = std::get<std::vector<std::string>>(a);
  return list.empty() ? "strings[]" : list_text(list, [](const auto& s) { return quoted(s); });
}

std::string Printer::node(const Graph& g, const Node& n, int depth) {
  std::string text;
  for (const ValueId out : n.outputs) {
    if (!text.empty()) text += ", ";
    text += definition(g, out);
  }
  if (n.outputs.empty()) text = "()";
  text += " = ";
  if (!n.domain.empty()) text += identifier(n.domain) + ".";
  const bool plain_op = is_identifier(n.op) && n.op.find('.') == std::string::npos;
  text += plain_op ? n.op : quoted(n.op);
  text += "(";
  const auto captured =
      std::min(n.inputs.size(), static_cast<std::size_t>(std::max(n.num_captured, 0)));
  for (std::size_t i = 0; i < n.inputs.size(); ++i) {
    if (i == n.inputs.size() - captured) {
      text += i == 0 ? "| " : " | ";
    } else if (i > 0) {
      text += ", ";
    }
    text += ref(g, n.inputs[i]);
  }
  text += ")";
  if (!n.attributes.empty()) {
    text += " {";
    bool first = true;
    for (const auto& [key, value] : n.attributes) {
      if (!first) text += ", ";
      first = false;
      text += identifier(key) + "=" + attribute(value, depth);
    }
    text += "}";
  }
  if (!n.name.empty()) text += " " + spelled('@', n.name);
  if (!n.doc_string.empty()) text += " doc " + quoted(n.doc_string);
  for (const auto& [key, value] : n.metadata)
    text += fmt::format(" metadata {} = {}", quoted(key), quoted(value));
  return text;
}

void Printer::graph(const Graph& g, int depth) {
  line(depth, "graph " + quoted(g.name) + " {");
  const int in = depth + 1;
  for (const auto& [domain, version] : g.opsets)
    line(in, domain.empty() ? fmt::format("opset {}", version)
                            : fmt::format("opset {} {}", identifier(domain), version));
  const Graph fresh;
  if (g.ir_version != fresh.ir_version) line(in, fmt::format("ir_version {}", g.ir_version));
  const auto said = [&](std::string_view key, const std::string& text) {
    if (!text.empty()) line(in, fmt::format("{} {}", key, quoted(text)));
  };
  said("producer", g.producer_name);
  said("producer_version", g.model.producer_version);
  said("domain", g.model.domain);
  if (g.model.model_version != 0) line(in, fmt::format("model_version {}", g.model.model_version));
  said("model_doc", g.model.doc_string);
  said("doc", g.doc_string);
  for (const auto& [key, value] : g.metadata)
    line(in, fmt::format("metadata {} = {}", quoted(key), quoted(value)));
  for (const ValueId id : g.inputs) line(in, "input " + definition(g, id));
  for (std::size_t v = 0; v < g.values.size(); ++v)
    if (g.values[v].constant)
      line(in, "const " + definition(g, static_cast<ValueId>(v)) + " = " +
                   constant_text(*g.values[v].constant, options_));
  for (const Node& n : g.nodes)
    if (!n.op.empty()) line(in, node(g, n, in));
  for (const ValueId id : g.outputs) line(in, "output " + ref(g, id));
  line(depth, "}");
}

}  // namespace

std::string print_type(const ValueType& type) {
  std::string text;
  if (type.dtype == Dtype::kUndefined && !type.shape && type.layout == Layout::kPlain) return text;
  text += name_of(type.dtype);
  if (type.shape) {
    text += '[';
    for (std::size_t i = 0; i < type.shape->size(); ++i) {
      if (i > 0) text += ',';
      text += dim_text((*type.shape)[i]);
    }
    text += ']';
  } else {
    text += "[*]";
  }
  if (type.layout == Layout::kChannelsLast) text += " channels_last";
  return text;
}

std::string print_graph(const Graph& graph, const PrintOptions& options) {
  Printer printer(options);
  printer.graph(graph, 0);
  return printer.take();
}

std::string print_node(const Graph& graph, const Node& node, const PrintOptions& options) {
  return Printer(options).node(graph, node, 0);
}

}  // namespace intact
