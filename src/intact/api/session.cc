#include "intact/session.h"

#include <fmt/format.h>

#include <filesystem>
#include <mutex>

#include "api/prepare.h"
#include "api/sample_tensors.h"
#include "base/heap.h"
#include "onnx/import.h"

namespace intact {

struct Session::State {
  std::shared_ptr<Engine> engine;
  std::vector<ValueDescription> inputs;
  std::vector<ValueDescription> outputs;
  std::once_flag first_run;
};

static Result<std::shared_ptr<Engine>> engine_of(Result<Graph> graph, const SessionOptions& options,
                                                 std::vector<ValueDescription>& inputs,
                                                 std::vector<ValueDescription>& outputs) {
  if (!graph) return fail(graph.error());
  // As the model declares them, before passes learn more.
  for (const ValueId id : graph->inputs) inputs.push_back(describe_value(graph->value(id)));
  for (const ValueId id : graph->outputs) outputs.push_back(describe_value(graph->value(id)));
  INTACT_ASSIGN(auto engine, prepare(std::move(*graph),
                                     {.threads = options.threads, .cache_dir = options.cache_dir},
                                     options.fast_float));
  // A session lives long, and what import and passes have freed is as much as it keeps.
  trim_heap();
  return engine;
}

Result<Session> Session::open(const std::string& path, const SessionOptions& options) {
  auto state = std::make_shared<State>();
  auto engine = engine_of(import_onnx_file(path), options, state->inputs, state->outputs);
  if (!engine) {
    const bool named = engine.error().text().find(path) != std::string::npos;
    return fail(named ? engine.error() : engine.error().with_context(path));
  }
  state->engine = std::move(*engine);
  return Session(std::move(state));
}

Result<Session> Session::open(std::span<const std::byte> model, const std::string& folder,
                              const SessionOptions& options) {
  auto state = std::make_shared<State>();
  INTACT_ASSIGN(state->engine, engine_of(import_onnx(model, {.external_folder = folder}), options,
                                         state->inputs, state->outputs));
  return Session(std::move(state));
}

const std::vector<ValueDescription>& Session::inputs() const { return state_->inputs; }
const std::vector<ValueDescription>& Session::outputs() const { return state_->outputs; }
const std::map<std::string, std::string>& Session::metadata() const {
  return state_->engine->graph().metadata;
}
const std::string& Session::producer() const { return state_->engine->graph().producer_name; }
const std::string& Session::graph_name() const { return state_->engine->graph().name; }
std::vector<std::string> Session::fast_nodes() const {
  std::vector<std::string> names;
  const Graph& graph = state_->engine->graph();
  for (const Node& node : graph.nodes)
    if (node.get_int("bf16", 0) != 0)
      names.push_back(node.name.empty() ? graph.value(node.out(0)).name : node.name);
  return names;
}
Engine& Session::engine() const { return *state_->engine; }

// A tensor over the caller's memory. `kind` and `name` are for errors.
static Result<Tensor> wrap(const std::string& dtype_name, const Shape& shape, const void* data,
                           std::string_view kind, const std::string& name) {
  const auto dtype = dtype_from_name(dtype_name);
  if (!dtype)
    return fail(ErrorCode::kDataMismatch,
                fmt::format("{} '{}' has the unknown type '{}'", kind, name, dtype_name));
  INTACT_TRY(check_shape(shape));
  auto* memory = static_cast<std::byte*>(const_cast<void*>(data));
  return Tensor(*dtype, shape,
                Buffer::wrap({memory, bytes_of(*dtype, num_elements(shape))}, nullptr));
}

Result<std::vector<OwnedTensor>> Session::run_ordered(std::span<const TensorView> inputs,
                                                      std::span<const OutputView> outputs,
                                                      const std::atomic<bool>* cancel) const {
  if (inputs.size() != state_->inputs.size() ||
      (!outputs.empty() && outputs.size() != state_->outputs.size()))
    return fail(
        ErrorCode::kDataMismatch,
        fmt::format("the model has {} inputs and {} outputs; {} and {} were given",
                    state_->inputs.size(), state_->outputs.size(), inputs.size(), outputs.size()));
  std::vector<Tensor> given;
  std::vector<Tensor> bound(outputs.size());
  given.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& view = inputs[i];
    INTACT_ASSIGN(Tensor t,
                  wrap(view.dtype, view.shape, view.data, "input", state_->inputs[i].name));
    given.push_back(std::move(t));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const OutputView& view = outputs[i];
    if (view.data == nullptr) continue;
    INTACT_ASSIGN(bound[i],
                  wrap(view.dtype, view.shape, view.data, "output", state_->outputs[i].name));
  }
  RunOptions options;
  options.cancel = cancel;
  options.outputs = bound;
  INTACT_ASSIGN(auto results, state_->engine->run(given, options));
  // By now the first plan is made, which had to wait for the shapes of inputs.
  std::call_once(state_->first_run, trim_heap);
  std::vector<OwnedTensor> made;
  made.reserve(results.size());
  for (const Tensor& t : results) made.push_back(owned(t));
  return made;
}

Result<std::vector<OwnedTensor>> Session::run(const std::map<std::string, TensorView>& inputs,
                                              const std::atomic<bool>* cancel) const {
  std::vector<TensorView> ordered;
  for (const ValueDescription& wanted : state_->inputs) {
    const auto it = inputs.find(wanted.name);
    if (it == inputs.end())
      return fail(ErrorCode::kDataMismatch, fmt::format("input '{}' is missing", wanted.name));
    ordered.push_back(it->second);
  }
  for (const auto& [name, view] : inputs) {
    bool known = false;
    for (const ValueDescription& wanted : state_->inputs) known |= wanted.name == name;
    if (!known)
      return fail(ErrorCode::kDataMismatch, fmt::format("the model has no input '{}'", name));
  }
  return run_ordered(ordered, {}, cancel);
}

}  // namespace intact
