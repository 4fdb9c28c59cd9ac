#include "calib/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "calib/gemm_site.h"
#include "calib/hash.h"
#include "calib/run_graph.h"

namespace intact {
namespace {

constexpr std::uint64_t kRuns = 4;

std::uint32_t fold(std::uint64_t h) { return static_cast<std::uint32_t>(h ^ (h >> 32)); }

// Seeded input: floats in [-1, 1), bytes over their range, wider integers 0 or 1 (any index is in
// range then).
Tensor seeded(const Value& input, std::int64_t free_size, std::uint64_t seed) {
  Shape shape;
  if (input.type.shape)
    for (std::size_t d = 0; d < input.type.shape->size(); ++d) {
      const Dim& dim = (*input.type.shape)[d];
      shape.push_back(dim.known() ? dim.size : d == 0 ? 1 : free_size);
    }
  Tensor t(input.type.dtype, shape);
  std::vector<double> values(static_cast<std::size_t>(t.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t word = hash_bytes({}, seed * 0x100000001B3u + i);
    switch (input.type.dtype) {
      case Dtype::kUint8:
        values[i] = static_cast<double>(word >> 56);
        break;
      case Dtype::kInt8:
        values[i] = static_cast<double>(word >> 56) - 128;
        break;
      case Dtype::kFloat16:
      case Dtype::kBFloat16:
      case Dtype::kFloat32:
      case Dtype::kFloat64:
        values[i] = static_cast<double>(word >> 40) * 0x1p-23 - 1;
        break;
      default:
        values[i] = static_cast<double>(word >> 63);
        break;
    }
  }
  return from_float64(t.dtype(), t.shape(), values);
}

// The constants that a node reads, also through the DequantizeLinear before it.
std::uint64_t hash_constants(const Graph& graph, const Uses& uses, const Node& node, bool through) {
  std::uint64_t h = 0;
  for (const ValueId v : node.inputs) {
    if (v == kNoValue) continue;
    if (const Tensor* t = graph.constant(v)) h = hash_tensor(*t, h);
    const std::int32_t made = uses.producer[static_cast<std::size_t>(v)];
    if (!through || made < 0) continue;
    const Node& before = graph.nodes[static_cast<std::size_t>(made)];
    if (before.op == "DequantizeLinear") h += hash_constants(graph, uses, before, false);
  }
  return h;
}

}  // namespace

std::string Fingerprint::text() const {
  std::string s = hex(outputs) + " ";
  for (const std::uint32_t n : nodes) s += fmt::format("{:08x}", n);
  return s;
}

Result<Fingerprint> Fingerprint::parse(const std::string& text) {
  Fingerprint f;
  const auto read = [&](std::size_t at, std::size_t digits, auto& value) {
    const char* end = text.data() + at + digits;
    return std::from_chars(text.data() + at, end, value, 16).ptr == end;
  };
  bool good = text.size() >= 17 && (text.size() - 17) % 8 == 0 && read(0, 16, f.outputs);
  for (std::size_t at = 17; good && at < text.size(); at += 8) {
    f.nodes.push_back(0);
    good = read(at, 8, f.nodes.back());
  }
  if (!good) return fail(ErrorCode::kInvalidArgument, "the file's fingerprint is not readable");
  return f;
}

Result<Fingerprint> make_fingerprint(const Graph& graph, int threads,
                                     const std::atomic<bool>* cancel) {
  RunOptions options;
  options.cancel = cancel;
  Fingerprint f;
  const Uses uses = graph.uses();
  for (const Node& node : graph.nodes)
    if (is_product(node)) f.nodes.push_back(fold(hash_constants(graph, uses, node, true)));
  std::uint64_t all = 0;
  for (const Node& node : graph.nodes)
    all += hash_bytes({}, hash_constants(graph, uses, node, false));
  f.nodes.push_back(fold(all));
  INTACT_ASSIGN(const auto engine, make_engine(graph.clone(), {.threads = threads}));
  for (const std::int64_t size : {64, 32, 8, 1}) {
    std::uint64_t h = 0;
    bool ran = true;
    for (std::uint64_t r = 0; r < kRuns && ran; ++r) {
      std::vector<Tensor> inputs;
      for (std::size_t i = 0; i < graph.inputs.size() && ran; ++i) {
        const Value& input = graph.value(graph.inputs[i]);
        ran = input.type.shape.has_value() && bits_of(input.type.dtype) >= 8;
        if (ran) inputs.push_back(seeded(input, size, (r * 64 + i) + 1));
      }
      if (!ran) break;
      const auto outputs = engine->run(inputs, options);
      ran = outputs.has_value();
      if (!ran && outputs.error().code == ErrorCode::kInterrupted) return fail(outputs.error());
      if (ran)
        for (const Tensor& t : *outputs) h = hash_tensor(t, h);
    }
    if (ran) {
      f.outputs = h;
      break;
    }
  }
  return f;
}

std::string first_difference(const Graph& graph, const Fingerprint& expected,
                             const Fingerprint& actual) {
  std::size_t i = 0;
  for (const Node& node : graph.nodes) {
    if (!is_product(node)) continue;
    if (i >= expected.nodes.size() || i >= actual.nodes.size() ||
        expected.nodes[i] != actual.nodes[i])
      return node.name.empty() ? node.op : node.name;
    ++i;
  }
  if (expected.nodes != actual.nodes) return "(a constant outside of the products)";
  return {};
}

}  // namespace intact
