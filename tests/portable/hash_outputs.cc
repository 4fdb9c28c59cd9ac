// hash_outputs.cc: MODEL.onnx THREADS: runs a model on inputs that follow from a seed and prints a
// hash of its outputs, for comparing processors. Free dimensions are 1.
#include <cstdio>
#include <cstdlib>

#include "onnx/import.h"
#include "passes/pass.h"
#include "passes/pipeline.h"
#include "runtime/engine.h"

namespace intact {
namespace {

// Bits of a 64-bit congruential generator as reals in [-2, 2), each exact.
Tensor input_of(const Value& value, std::uint64_t& state) {
  Shape shape;
  for (const Dim& d : *value.type.shape) shape.push_back(d.known() ? d.size : 1);
  Tensor t(Dtype::kFloat32, shape);
  for (float& x : t.mutable_values<float>()) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    x = static_cast<float>(static_cast<std::int32_t>(state >> 40) - (1 << 23)) / (1 << 22);
  }
  return t;
}

Result<std::uint64_t> hash_outputs(const char* path, int threads) {
  INTACT_ASSIGN(Graph graph, import_onnx_file(path));
  PassContext context{.evaluate = evaluate_node};
  INTACT_TRY(run_passes(graph, session_pipeline(), context));
  graph.compact();
  std::vector<Tensor> inputs;
  std::uint64_t state = 20;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    if (value.type.dtype != Dtype::kFloat32 || !value.type.shape)
      return fail(ErrorCode::kUnsupported, "inputs must be float32 of known rank");
    inputs.push_back(input_of(value, state));
  }
  Engine engine(std::move(graph), {.threads = threads});
  INTACT_TRY(engine.warm_up());
  INTACT_ASSIGN(const std::vector<Tensor> outputs, engine.run(inputs));
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const Tensor& t : outputs)
    for (std::size_t i = 0; i < t.bytes(); ++i)
      hash = (hash ^ static_cast<std::uint64_t>(t.raw()[i])) * 1099511628211U;
  return hash;
}

}  // namespace
}  // namespace intact

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: intact_hash_outputs MODEL.onnx THREADS\n");
    return 2;
  }
  const auto hash = intact::hash_outputs(argv[1], std::atoi(argv[2]));
  if (!hash) {
    std::fprintf(stderr, "%s\n", hash.error().text().c_str());
    return 2;
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(*hash));
  return 0;
}
