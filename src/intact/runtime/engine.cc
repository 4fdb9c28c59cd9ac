#include "runtime/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>

#include "base/cpu_budget.h"
#include "base/fp_env.h"
#include "base/lanes.h"
#include "kernels/self_check.h"
#include "runtime/plan_lanes.h"

namespace intact {
namespace {

constexpr std::size_t kMaxPlans = 16;
constexpr std::size_t kMaxKeyBytes = 1024;

void append_bytes(std::string& key, std::int64_t n) {
  key.append(reinterpret_cast<const char*>(&n), sizeof n);
}

std::string expected_shape(const std::vector<Dim>& dims) {
  std::string text = "[";
  for (const Dim& d : dims) {
    if (text.size() > 1) text += ',';
    text += d.known() ? std::to_string(d.size) : d.symbol.empty() ? "?" : d.symbol;
  }
  return text + "]";
}

}  // namespace

// A plan and memory for it: every pointer that does not change from run to run is in place.
struct Engine::Segment {
  struct Patch {
    std::size_t position;  // In pointers.
    Place place;
  };
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<Buffer> arena;
  std::vector<std::byte*> pointers;  // Of the steps in order: a step's inputs, then its outputs.
  std::vector<std::size_t> begins;   // By step: where its pointers do.
  std::vector<Patch> patches;        // What depends on the run.
  Lanes lanes{1};

  void bind(std::shared_ptr<const Plan> to, int threads) {
    plan = std::move(to);
    if (lanes.count() != threads) lanes = Lanes(threads);
    if (!arena || arena->bytes() < plan->arena_bytes) {
      arena.reset();
      arena = Buffer::allocate_pages(plan->arena_bytes);
    }
    pointers.clear();
    begins.clear();
    patches.clear();
    for (const Step& step : plan->steps) {
      begins.push_back(pointers.size());
      for (const auto* places : {&step.in, &step.out})
        for (const Place& place : *places) {
          if (place.kind == Place::Kind::kInput || place.kind == Place::Kind::kOutput ||
              place.kind == Place::Kind::kCarried)
            patches.push_back({pointers.size(), place});
          pointers.push_back(fixed(place));
        }
    }
  }

  // The arguments of a step, once all pointers are in place.
  [[nodiscard]] StepArgs args(std::size_t s, ThreadPool& pool, Status& status) const {
    const Step& step = plan->steps[s];
    const std::span<std::byte* const> all(pointers.data() + begins[s],
                                          step.in.size() + step.out.size());
    return {all.first(step.in.size()), all.subspan(step.in.size()),
            arena->data() + plan->scratch_offset + step.scratch_offset, pool, status};
  }

  // Where a place is that does not depend on the run; null for others.
  [[nodiscard]] std::byte* fixed(const Place& place) const {
    if (place.kind == Place::Kind::kConstant) return plan->constants[place.index].raw();
    if (place.kind == Place::Kind::kArena) return arena->data() + place.offset;
    return nullptr;
  }
};

// What one run in flight owns.
struct Engine::Context {
  std::vector<Segment> segments;                // One a plan of the run's chain.
  std::vector<std::shared_ptr<Buffer>> staged;  // Copies of inputs, with slack.
  // By graph input, graph output and value.
  std::vector<std::byte*> inputs;
  std::vector<std::byte*> outputs;
  std::vector<std::byte*> carried;

  [[nodiscard]] std::byte* locate(const Segment& segment, const Place& place) const {
    switch (place.kind) {
      case Place::Kind::kInput:
        return inputs[place.index];
      case Place::Kind::kOutput:
        return outputs[place.index];
      case Place::Kind::kCarried:
        return carried[place.index];
      default:
        return segment.fixed(place);
    }
  }

  // Memory of the caller's may end with the last element: kernels that read further get a copy.
  void set_inputs(std::span<const Tensor> tensors) {
    inputs.resize(tensors.size());
    staged.resize(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const Tensor& t = tensors[i];
      inputs[i] = t.raw();
      if (t.buffer()->has_slack() || !read_past_end(t.dtype())) continue;
      if (!staged[i] || staged[i]->bytes() < t.bytes()) staged[i] = Buffer::allocate(t.bytes());
      std::memcpy(staged[i]->data(), t.raw(), t.bytes());
      inputs[i] = staged[i]->data();
    }
  }
};

Engine::Engine(Graph graph, EngineOptions options)
    : graph_(std::move(graph)),
      threads_(options.threads > 0 ? options.threads : default_threads()),
      strips_(options.strips),
      pool_(threads_),
      packs_(options.cache_dir, graph_) {}

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

template <class Make>
Result<std::shared_ptr<const Plan>> Engine::cached(std::string key, const Make& make) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = std::find_if(plans_.begin(), plans_.end(),
                                 [&](const auto& entry) { return entry.first == key; });
    if (it != plans_.end()) {
      std::rotate(it, it + 1, plans_.end());
      return plans_.back().second;
    }
  }
  std::call_once(constants_taken_, [this] { packs_.take_constants(graph_, pool_); });
  INTACT_ASSIGN(auto plan, make());
  // Constants that the plan's steps read are copied now if they are at all: the file takes those.
  for (const Step& step : plan->steps)
    for (const Place& place : step.in)
      if (place.kind == Place::Kind::kConstant)
        static_cast<void>(plan->constants[place.index].raw());
  packs_.put_constants(graph_);
  if (packs_.save()) {
    INTACT_ASSIGN(plan, make());
  }
  // Packing has read the weights of a mapped file; hardly anything will read them again.
  for (const Value& value : graph_.values)
    if (value.constant) value.constant->buffer()->drop_pages();
  const std::lock_guard lock(mutex_);
  if (plans_.size() == kMaxPlans) plans_.erase(plans_.begin());
  plans_.emplace_back(std::move(key), plan);
  return plan;
}

Result<std::shared_ptr<const Plan>> Engine::plan_for(std::span<const Tensor> inputs) {
  INTACT_TRY(check_inputs(inputs));
  std::vector<ValueInfo> infos;
  for (const Tensor& t : inputs)
    infos.push_back({t.dtype(), t.shape(), Layout::kPlain, nullptr, nullptr});
  return plan_for_types(infos);
}

Result<std::shared_ptr<const Plan>> Engine::plan_for_types(std::span<const ValueInfo> inputs) {
  std::string key;
  for (const ValueInfo& info : inputs) {
    append_bytes(key, static_cast<std::int64_t>(info.dtype));
    append_bytes(key, static_cast<std::int64_t>(info.rank()));
    for (const std::int64_t n : info.shape) append_bytes(key, n);
  }
  return cached(std::move(key), [&] {
    return make_plan(graph_, inputs, {.threads = threads_, .strips = strips_}, packs_);
  });
}

Status Engine::warm_up() {
  const ScopedFpEnv fp;
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  INTACT_TRY(self_check(isa));
  pack_ahead(graph_, {.threads = threads_, .strips = strips_}, pool_, packs_);
  packs_.put_constants(graph_);
  if (packs_.save()) packs_.take_constants(graph_, pool_);
  std::vector<ValueInfo> inputs;
  for (const ValueId id : graph_.inputs) {
    auto info = declared_info(graph_, id);
    if (!info) return {};
    inputs.push_back(std::move(*info));
  }
  INTACT_TRY(plan_for_types(inputs));
  return {};
}

// The plan that follows `plan` in this run. It depends on the awaited values, which are its
// constants; so few of them are a key like the shapes of inputs, and many are not worth keeping.
Result<std::shared_ptr<const Plan>> Engine::plan_after(const std::shared_ptr<const Plan>& plan,
                                                       const Context& context) {
  std::vector<Tensor> values;
  std::string key;
  append_bytes(key, reinterpret_cast<std::int64_t>(plan.get()));
  for (const ValueId id : plan->awaited) {
    const auto v = static_cast<std::size_t>(id);
    Tensor t(plan->infos[v].dtype, plan->infos[v].shape);
    if (t.bytes() > 0) std::memcpy(t.raw(), context.carried[v], t.bytes());
    key.append(reinterpret_cast<const char*>(t.raw()), t.bytes());
    values.push_back(std::move(t));
  }
  const auto make = [&] {
    return continue_plan(graph_, plan, values, {.threads = threads_, .strips = strips_}, packs_);
  };
  return key.size() <= kMaxKeyBytes ? cached(std::move(key), make) : make();
}

// An idle context, one that is bound to a plan for these inputs if there is any.
std::unique_ptr<Engine::Context> Engine::take_context(std::span<const Tensor> inputs) {
  const auto suits = [&](const std::unique_ptr<Context>& context) {
    const auto& known = context->segments[0].plan->input_info;
    return std::equal(known.begin(), known.end(), inputs.begin(), inputs.end(),
                      [](const ValueInfo& info, const Tensor& t) {
                        return info.dtype == t.dtype() && info.shape == t.shape();
                      });
  };
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Context>();
  const auto it = std::find_if(idle_.rbegin(), idle_.rend(), suits);
  if (it != idle_.rend()) std::swap(*it, idle_.back());
  auto context = std::move(idle_.back());
  idle_.pop_back();
  if (it == idle_.rend()) context->segments[0].plan = nullptr;
  return context;
}

// Runs the steps of a segment whose pointers are all in place.
Status Engine::run_steps(Segment& segment, ThreadPool& pool, const RunOptions& options) {
  using Clock = std::chrono::steady_clock;
  ThreadPool caller_alone(1);
  Status status;
  const std::vector<Step>& steps = segment.plan->steps;
  const bool watched = options.profiler != nullptr || options.observer != nullptr;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const Step& step = steps[s];
    if (step.in_lanes > 0 && !watched) {
      INTACT_TRY(run_in_lanes(segment, s, pool, options));
      s += step.in_lanes - 1;
      continue;
    }
    if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed))
      return fail(ErrorCode::kInterrupted, "interrupted");
    const StepArgs args = segment.args(s, step.alone ? caller_alone : pool, status);
    const auto start = options.profiler != nullptr ? Clock::now() : Clock::time_point{};
    if (step.fn) step.fn(args);
    if (!status) return fail(status.error().with_context(describe(*step.node)));
    if (options.profiler != nullptr) {
      const std::chrono::duration<double, std::micro> us = Clock::now() - start;
      (*options.profiler)(step, us.count());
    }
    if (options.observer == nullptr) continue;
    for (std::size_t i = 0; i < args.out.size(); ++i)
      if (step.node->outputs[i] != kNoValue)
        INTACT_TRY((*options.observer)(step.node->outputs[i], step.out_info[i], args.out[i]));
  }
  return {};
}

// Runs the steps from `first` on that share one region.
Status Engine::run_in_lanes(Segment& segment, std::size_t first, const ThreadPool& pool,
                            const RunOptions& options) {
  const Step* const steps = segment.plan->steps.data() + first;
  ThreadPool alone(1);
  Status status;  // Of steps that run alone; no others set it.
  std::atomic<bool> stopped{false};
  const Step* failed = nullptr;
  segment.lanes.run(
      pool, static_cast<std::uint32_t>(steps->in_lanes),
      [&](std::uint32_t s) { return steps[s].waits; },
      [&](std::uint32_t s, std::uint32_t lane) {
        const Step& step = steps[s];
        if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed))
          stopped.store(true, std::memory_order_relaxed);
        if (stopped.load(std::memory_order_relaxed)) return;
        const StepArgs args = segment.args(first + s, alone, status);
        if (!step.alone) {
          const auto [begin, end] =
              lane_share(step.tasks.count, static_cast<int>(lane), segment.lanes.count());
          for (std::size_t t = begin; t < end; ++t) step.tasks.fn(args, t);
        } else if (lane == 0 && step.fn) {
          step.fn(args);
          if (status) return;
          failed = &step;
          stopped.store(true, std::memory_order_relaxed);
        }
      });
  if (failed != nullptr) return fail(status.error().with_context(describe(*failed->node)));
  if (stopped.load(std::memory_order_relaxed)) return fail(ErrorCode::kInterrupted, "interrupted");
  return {};
}

// Steps may write an output before the last of them has read an input, so memory that is bound to
// an output must be its own.
Status Engine::check_bound(std::span<const Tensor> inputs, std::span<const Tensor> bound) const {
  const auto meet = [](const Tensor& a, const Tensor& b) {
    return a.defined() && b.defined() && std::less<>()(a.raw(), b.raw() + b.bytes()) &&
           std::less<>()(b.raw(), a.raw() + a.bytes());
  };
  const auto refuse = [&](std::size_t i, std::string_view kind, ValueId other) {
    return fail(ErrorCode::kDataMismatch,
                fmt::format("the memory bound to output '{}' overlaps that of {} '{}'",
                            graph_.value(graph_.outputs[i]).name, kind, graph_.value(other).name));
  };
  for (std::size_t i = 0; i < std::min(bound.size(), graph_.outputs.size()); ++i) {
    for (std::size_t k = 0; k < std::min(inputs.size(), graph_.inputs.size()); ++k)
      if (meet(bound[i], inputs[k])) return refuse(i, "input", graph_.inputs[k]);
    for (std::size_t k = 0; k < i; ++k)
      if (meet(bound[i], bound[k])) return refuse(i, "output", graph_.outputs[k]);
  }
  return {};
}

// The outputs of a run: the caller's memory where it is bound, else new.
Result<std::vector<Tensor>> Engine::make_outputs(const Plan& plan,
                                                 std::span<const Tensor> bound) const {
  std::vector<Tensor> outputs;
  outputs.reserve(plan.output_info.size());
  for (std::size_t i = 0; i < plan.output_info.size(); ++i) {
    const ValueInfo& info = plan.output_info[i];
    if (i < bound.size() && bound[i].defined()) {
      if (bound[i].dtype() != info.dtype || bound[i].shape() != info.shape)
        return fail(ErrorCode::kDataMismatch,
                    fmt::format("output '{}' is {} {}; the memory bound to it is {} {}",
                                graph_.value(graph_.outputs[i]).name, name_of(info.dtype),
                                to_string(info.shape), name_of(bound[i].dtype()),
                                to_string(bound[i].shape())));
      outputs.push_back(bound[i]);
    } else {
      const auto buffer = Buffer::allocate_uninitialized(bytes_of(info.dtype, info.size()));
      outputs.emplace_back(info.dtype, info.shape, buffer);
    }
  }
  return outputs;
}

Result<std::vector<Tensor>> Engine::run_plans(Context& context, std::span<const Tensor> inputs,
                                              const RunOptions& options) {
  ThreadPool pool(threads_);
  // An observer shares its own work out between the steps.
  if (options.observer == nullptr) pool.keep_workers();
  context.set_inputs(inputs);
  for (std::size_t k = 0;; ++k) {
    Segment& segment = context.segments[k];
    const Plan& plan = *segment.plan;
    std::vector<Tensor> outputs;
    if (plan.last()) {
      INTACT_ASSIGN(outputs, make_outputs(plan, options.outputs));
      context.outputs.clear();
      for (const Tensor& t : outputs) context.outputs.push_back(t.raw());
    }
    for (const Segment::Patch& patch : segment.patches)
      segment.pointers[patch.position] = context.locate(segment, patch.place);
    INTACT_TRY(run_steps(segment, pool, options));
    if (plan.last()) {
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const std::byte* source = context.locate(segment, plan.output_place[i]);
        if (source != nullptr && source != outputs[i].raw() && outputs[i].bytes() > 0)
          std::memcpy(outputs[i].raw(), source, outputs[i].bytes());
      }
      return outputs;
    }
    context.carried.resize(graph_.values.size());
    for (const auto& [id, place] : plan.carried)
      context.carried[static_cast<std::size_t>(id)] = context.locate(segment, place);
    INTACT_ASSIGN(auto next, plan_after(segment.plan, context));
    if (context.segments.size() == k + 1) context.segments.emplace_back();
    if (context.segments[k + 1].plan != next)
      context.segments[k + 1].bind(std::move(next), threads_);
  }
}

Result<std::vector<Tensor>> Engine::run(std::span<const Tensor> inputs, const RunOptions& options) {
  const ScopedFpEnv fp;
  INTACT_CHECK(options.observer == nullptr || !strips_, "an observer of values that are not kept");
  INTACT_TRY(check_bound(inputs, options.outputs));
  auto context = take_context(inputs);
  if (context->segments.empty()) context->segments.emplace_back();
  if (context->segments[0].plan == nullptr) {
    INTACT_ASSIGN(auto plan, plan_for(inputs));
    context->segments[0].bind(std::move(plan), threads_);
  }
  auto outputs = run_plans(*context, inputs, options);
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(context));
  return outputs;
}

}  // namespace intact
