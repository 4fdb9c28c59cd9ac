// graph.h: the one intermediate representation: values, nodes, graphs.
//
// A graph is an ordered list of nodes over a table of values (static single assignment: each value
// is a graph input, a constant, or the output of one node). Operators are those of ONNX, by domain
// and name, plus our own in the domain "intact", which only passes create. Semantics of an ONNX
// node: the ONNX operator specification at the graph's opset.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"
#include "base/tensor.h"
#include "intact/result.h"

namespace intact {

class Graph;

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;  // An omitted optional input or output.

// One size: a number, or an expression over named symbols ("batch", "past + 1"), or unknown ("").
struct Dim {
  std::int64_t size = -1;  // >= 0 when known.
  std::string symbol;      // Empty when known or nothing is said.

  Dim() = default;
  Dim(std::int64_t n) : size(n) {}  // NOLINT(google-explicit-constructor): a size is a Dim.
  static Dim symbolic(std::string name) {
    Dim d;
    d.symbol = std::move(name);
    return d;
  }
  [[nodiscard]] bool known() const noexcept { return size >= 0; }
  bool operator==(const Dim&) const = default;
};

// The order of a value's elements in memory. The shape, and every axis attribute, always speak of
// the logical order (N, C, spatial...); kChannelsLast stores (N, spatial..., C).
enum class Layout : std::uint8_t { kPlain, kChannelsLast };

// The map of codes to reals: x = scale[c] (q - zero_point[c]), c the index along `axis`, or 0 for
// one map of the whole tensor (axis = -1). numerics.md (1).
struct Quant {
  std::vector<float> scale;
  std::vector<std::int32_t> zero_point;
  int axis = -1;
  bool operator==(const Quant&) const = default;
};

struct ValueType {
  Dtype dtype = Dtype::kUndefined;        // kUndefined: not known.
  std::optional<std::vector<Dim>> shape;  // Nothing: rank not known.
  Layout layout = Layout::kPlain;
};

struct Value {
  std::string name;
  std::string doc_string;
  ValueType type;
  std::optional<Tensor> constant;  // Set for initializers and folded values. Row-major, kPlain.
  std::optional<Quant> quant;      // Set when the elements are codes of reals (passes/fuse_qdq).
};

using Attribute =
    std::variant<std::int64_t, float, std::string, Tensor, std::shared_ptr<Graph>,
                 std::vector<std::int64_t>, std::vector<float>, std::vector<std::string>>;

// Subgraphs (the bodies of If, Loop, Scan: attributes that hold a Graph) are closed: they read
// nothing by name from outside. What ONNX lets a body read from the scopes around it is passed
// instead: the last `num_captured` inputs of the node are those outer values, and each of its
// bodies has as many extra inputs at the end of its own list, in the same order. So edits of the
// outer graph (replace_uses, rename) need not look into bodies, and a body runs like any graph.
struct Node {
  std::string name;
  std::string doc_string;
  std::string op;                 // "Conv"
  std::string domain;             // "" is ONNX's default domain.
  std::vector<ValueId> inputs;    // kNoValue where omitted.
  std::vector<ValueId> outputs;   // kNoValue where omitted.
  std::int32_t num_captured = 0;  // See above; 0 without subgraphs.
  std::map<std::string, Attribute> attributes;
  std::map<std::string, std::string> metadata;  // metadata_props of the node.

  // The attribute, or the default when absent or of another type.
  [[nodiscard]] std::int64_t get_int(std::string_view key, std::int64_t otherwise) const;
  [[nodiscard]] float get_float(std::string_view key, float otherwise) const;
  [[nodiscard]] std::string get_string(std::string_view key, std::string_view otherwise) const;
  [[nodiscard]] std::vector<std::int64_t> get_ints(std::string_view key,
                                                   std::vector<std::int64_t> otherwise = {}) const;
  [[nodiscard]] std::vector<float> get_floats(std::string_view key) const;
  [[nodiscard]] const Tensor* get_tensor(std::string_view key) const;  // Null when absent.
  [[nodiscard]] bool has(std::string_view key) const;

  // Input or output i, or kNoValue past the end.
  [[nodiscard]] ValueId in(std::size_t i) const { return i < inputs.size() ? inputs[i] : kNoValue; }
  [[nodiscard]] ValueId out(std::size_t i) const {
    return i < outputs.size() ? outputs[i] : kNoValue;
  }
  [[nodiscard]] bool is(std::string_view name_of_op, std::string_view in_domain = "") const {
    return op == name_of_op && domain == in_domain;
  }
};

// Who produces and who reads each value; a snapshot that edits of the graph make stale.
struct Uses {
  std::vector<std::int32_t> producer;              // Node index, or -1 (input, constant, none).
  std::vector<std::vector<std::int32_t>> readers;  // Node indices, one entry a use, ascending.
  std::vector<bool> is_output;                     // Graph output (a use beyond the readers).

  // True when node `reader` is the only use of `value`.
  [[nodiscard]] bool only_reader(ValueId value, std::int32_t reader) const {
    const auto v = static_cast<std::size_t>(value);
    return !is_output[v] && readers[v].size() == 1 && readers[v][0] == reader;
  }
  [[nodiscard]] bool single_use(ValueId value) const {
    const auto v = static_cast<std::size_t>(value);
    return !is_output[v] && readers[v].size() == 1;
  }
};

// What a model file says about itself beside its graph; only kept for the next export.
struct ModelInfo {
  std::string producer_version;
  std::string domain;
  std::string doc_string;
  std::int64_t model_version = 0;
  std::string opaque;  // Serialized fields that only onnx/ reads (training_info, unknown fields).
  bool operator==(const ModelInfo&) const = default;
};

class Graph {
 public:
  std::string name;
  std::map<std::string, std::int64_t> opsets;   // Domain -> version; "" is ONNX's default.
  std::map<std::string, std::string> metadata;  // metadata_props of the model.
  std::int64_t ir_version = 8;
  std::string producer_name;
  std::string doc_string;
  ModelInfo model;

  std::vector<Value> values;
  std::vector<Node> nodes;      // In execution order, except between edits and sort().
  std::vector<ValueId> inputs;  // Not the initializers.
  std::vector<ValueId> outputs;

  [[nodiscard]] Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Value& value(ValueId id) const {
    return values[static_cast<std::size_t>(id)];
  }
  // The constant of a value, or null: also for kNoValue.
  [[nodiscard]] const Tensor* constant(ValueId id) const {
    return id == kNoValue || !value(id).constant ? nullptr : &*value(id).constant;
  }

  // Adds a value. The name is made unique by a suffix when it is empty or taken.
  ValueId add_value(std::string name, ValueType type = {});
  ValueId add_constant(std::string name, Tensor tensor);
  // Appends a node with one new output of that name and returns the output; sort() puts it in
  // order. References to nodes and values do not survive additions.
  ValueId add_node(Node node, std::string output_name, ValueType type = {});

  [[nodiscard]] std::optional<ValueId> find_value(std::string_view name) const;
  [[nodiscard]] Uses uses() const;

  // Every reader of `from`, and the outputs list, now use `to`. A graph output keeps its name: the
  // names of the two values are exchanged when `from` is an output.
  void replace_uses(ValueId from, ValueId to);

  // Puts the nodes in execution order, stable with respect to the present order, and drops nodes
  // whose op is empty (the way passes delete). Errors: kInvalidModel, naming a node on a cycle.
  Status sort();

  // Removes values that nothing refers to, and renumbers. Ids held elsewhere become invalid.
  void compact();

  [[nodiscard]] std::int64_t opset(const std::string& domain = "") const {
    const auto it = opsets.find(domain == "ai.onnx" ? "" : domain);
    return it == opsets.end() ? 0 : it->second;
  }

  // A deep copy of the structure; constants share their buffers.
  [[nodiscard]] Graph clone() const;

 private:
  std::map<std::string, ValueId, std::less<>> by_name_;
  std::int64_t next_suffix_ = 0;
  std::string unique_name(std::string wanted) const;

 public:
  // Names -> ids, rebuilt after direct edits of `values` (import, compact).
  void index_names();
  // Renames a value; the name must be free.
  void rename(ValueId id, std::string new_name);
};

}  // namespace intact
