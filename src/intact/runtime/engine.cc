#include "runtime/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "base/fp_env.h"

namespace intact {
namespace {

constexpr std::size_t kMaxPlans = 16;

std::string expected_shape(const std::vector<Dim>& dims) {
  std::string text = "[";
  for (const Dim& d : dims) {
    if (text.size() > 1) text += ',';
    text += d.known() ? std::to_string(d.size) : d.symbol.empty() ? "?" : d.symbol;
  }
  return text + "]";
}

}  // namespace

// What one run in flight owns.
struct Engine::Context {
  std::shared_ptr<Buffer> arena;
  std::vector<std::byte*> in;
  std::vector<std::byte*> out;
};

std::shared_ptr<ThreadPool> shared_pool(int threads) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  const std::lock_guard lock(mutex);
  auto pool = pools[threads].lock();
  if (!pool) pools[threads] = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

Engine::Engine(Graph graph, EngineOptions options)
    : graph_(std::move(graph)),
      threads_(options.threads > 0 ? options.threads : default_threads()),
      pool_(shared_pool(threads_)) {}

Engine::~Engine() = default;

Status Engine::check_inputs(std::span<const Tensor> inputs) const {
  if (inputs.size() != graph_.inputs.size())
    return fail(ErrorCode::kDataMismatch, fmt::format("the model has {} inputs; {} were given",
                                                      graph_.inputs.size(), inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Value& value = graph_.value(graph_.inputs[i]);
    const Tensor& t = inputs[i];
    if (value.type.dtype != Dtype::kUndefined && t.dtype() != value.type.dtype)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("input '{}' is {}; the model expects {}", value.name,
                              name_of(t.dtype()), name_of(value.type.dtype)));
    if (!value.type.shape) continue;
    const auto& dims = *value.type.shape;
    bool fits = dims.size() == t.rank();
    for (std::size_t d = 0; fits && d < dims.size(); ++d)
      fits = !dims[d].known() || dims[d].size == t.shape()[d];
    if (!fits)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("input '{}' has shape {}; the model expects {}", value.name,
                              to_string(t.shape()), expected_shape(dims)));
  }
  return {};
}

Result<std::shared_ptr<const Plan>> Engine::plan_for(std::span<const Tensor> inputs) {
  INTACT_TRY(check_inputs(inputs));
  std::vector<Shape> signature;
  std::vector<ValueInfo> infos;
  for (const Tensor& t : inputs) {
    signature.push_back(t.shape());
    infos.push_back({t.dtype(), t.shape(), Layout::kPlain, nullptr, nullptr});
  }
  {
    const std::lock_guard lock(mutex_);
    const auto it = std::find_if(plans_.begin(), plans_.end(),
                                 [&](const auto& entry) { return entry.first == signature; });
    if (it != plans_.end()) {
      std::rotate(it, it + 1, plans_.end());
      return plans_.back().second;
    }
  }
  INTACT_ASSIGN(auto plan,
                make_plan(graph_, infos, {.threads = threads_, .keep_all = false}, packs_));
  const std::lock_guard lock(mutex_);
  if (plans_.size() == kMaxPlans) plans_.erase(plans_.begin());
  plans_.emplace_back(std::move(signature), plan);
  return plan;
}

Result<std::vector<Tensor>> Engine::run(std::span<const Tensor> inputs, const RunOptions& options) {
  const ScopedFpEnv fp;
  INTACT_ASSIGN(const auto plan, plan_for(inputs));
  std::unique_ptr<Context> context;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      context = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!context) context = std::make_unique<Context>();
  if (!context->arena || context->arena->bytes() < plan->arena_bytes) {
    context->arena.reset();
    context->arena = Buffer::allocate(plan->arena_bytes);
  }
  std::byte* const arena = context->arena->data();

  std::vector<Tensor> outputs;
  for (const ValueInfo& info : plan->output_info) outputs.emplace_back(info.dtype, info.shape);
  // Memory of the caller has no slack behind it: kernels read a copy.
  std::vector<Tensor> held(inputs.begin(), inputs.end());
  for (Tensor& t : held)
    if (!t.buffer()->has_slack()) t = t.clone();

  const auto pointer = [&](const Place& place) -> std::byte* {
    switch (place.kind) {
      case Place::Kind::kNone:
        return nullptr;
      case Place::Kind::kConstant:
        return plan->constants[place.index].raw();
      case Place::Kind::kInput:
        return held[place.index].raw();
      case Place::Kind::kOutput:
        return outputs[place.index].raw();
      case Place::Kind::kArena:
        return arena + place.offset;
    }
    return nullptr;
  };
  Status status;
  for (const Step& step : plan->steps) {
    if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) {
      status = fail(ErrorCode::kInterrupted, "interrupted");
      break;
    }
    context->in.clear();
    context->out.clear();
    for (const Place& place : step.in) context->in.push_back(pointer(place));
    for (const Place& place : step.out) context->out.push_back(pointer(place));
    const auto start = options.profiler != nullptr ? std::chrono::steady_clock::now()
                                                   : std::chrono::steady_clock::time_point{};
    if (step.fn)
      step.fn(StepArgs{context->in, context->out, arena + plan->scratch_offset, *pool_, status});
    if (!status) {
      status = fail(status.error().with_context(describe(*step.node)));
      break;
    }
    if (options.profiler != nullptr) {
      const std::chrono::duration<double, std::micro> us = std::chrono::steady_clock::now() - start;
      (*options.profiler)(step, us.count());
    }
    if (options.observer == nullptr) continue;
    for (std::size_t i = 0; i < step.out.size() && status; ++i)
      if (step.node->outputs[i] != kNoValue)
        status = (*options.observer)(step.node->outputs[i], step.out_info[i], context->out[i]);
    if (!status) break;
  }
  if (status) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const Place& place = plan->output_place[i];
      if (place.kind == Place::Kind::kOutput && place.index == i) continue;
      const std::byte* source = pointer(place);
      if (source != nullptr && outputs[i].bytes() > 0)
        std::memcpy(outputs[i].raw(), source, outputs[i].bytes());
    }
  }
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(context));
  }
  if (!status) return fail(status.error());
  return outputs;
}

}  // namespace intact
