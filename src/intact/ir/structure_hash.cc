#include "ir/structure_hash.h"

#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "base/hash.h"

namespace intact {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{32} << 10;

// Spells a graph as bytes, every list after its length, so that no two graphs are spelled alike;
// and hashes them piece by piece.
class Speller {
 public:
  Speller(std::size_t large_bytes, std::uint64_t seed) : large_bytes_(large_bytes), hash_(seed) {}

  void add(const Graph& graph) {
    add(graph.opsets);
    add(graph.values);
    add(graph.nodes);
    add(graph.inputs);
    add(graph.outputs);
  }

  [[nodiscard]] std::uint64_t hash() {
    end_piece();
    return hash_;
  }

 private:
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void add(T x) { add_bytes(&x, sizeof x); }
  void add(const std::string& text) {
    add(text.size());
    add_bytes(text.data(), text.size());
  }
  template <class T>
  void add(const std::vector<T>& list) {
    add(list.size());
    for (const T& x : list) add(x);
  }
  template <class K, class T>
  void add(const std::map<K, T>& map) {
    add(map.size());
    for (const auto& [key, x] : map) {
      add(key);
      add(x);
    }
  }
  template <class T>
  void add(const std::optional<T>& x) {
    add(x.has_value());
    if (x) add(*x);
  }
  void add(const Dim& dim) {
    add(dim.size);
    add(dim.symbol);
  }
  void add(const Quant& quant) {
    add(quant.scale);
    add(quant.zero_point);
    add(quant.axis);
  }
  void add(const Tensor& tensor) {
    add(tensor.defined());
    if (!tensor.defined()) return;
    add(tensor.dtype());
    add(tensor.shape());
    if (tensor.bytes() < large_bytes_) add_bytes(tensor.raw(), tensor.bytes());
  }
  void add(const Value& value) {
    add(value.name);
    add(value.type.dtype);
    add(value.type.shape);
    add(value.type.layout);
    add(value.constant);
    add(value.quant);
  }
  // All of it: nothing else looks at what is inside an attribute.
  void add(const Attribute& attribute) {
    add(attribute.index());
    const std::size_t outside =
        std::exchange(large_bytes_, std::numeric_limits<std::size_t>::max());
    std::visit([&](const auto& x) { add(x); }, attribute);
    large_bytes_ = outside;
  }
  void add(const std::shared_ptr<Graph>& body) {
    add(body != nullptr);
    if (body != nullptr) add(*body);
  }
  void add(const Node& node) {
    add(node.op);
    add(node.domain);
    add(node.inputs);
    add(node.outputs);
    add(node.num_captured);
    add(node.attributes);
  }

  void add_bytes(const void* data, std::size_t bytes) {
    piece_.append(static_cast<const char*>(data), bytes);
    if (piece_.size() >= kPieceBytes) end_piece();
  }
  void end_piece() {
    hash_ = hash_large(std::as_bytes(std::span(piece_)), hash_);
    piece_.clear();
  }

  std::size_t large_bytes_;
  std::uint64_t hash_;
  std::string piece_;
};

}  // namespace

std::uint64_t hash_structure(const Graph& graph, std::size_t large_bytes, std::uint64_t seed) {
  Speller speller(large_bytes, seed);
  speller.add(graph);
  return speller.hash();
}

}  // namespace intact
