// engine.h: runs a prepared graph: plans by shape signature, contexts by run in flight.
//
// An engine is immutable but for its caches and may be shared by threads; runs do not wait for each
// other. The same inputs give the same bytes on every ISA level and for any number of threads
// (docs/maths/numerics.md).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/plan.h"

namespace intact {

// Called after each step with what it wrote: the value, its type, and its bytes in memory order.
using Observer = std::function<Status(ValueId, const ValueInfo&, const std::byte*)>;

struct EngineOptions {
  int threads = 0;          // 0: default_threads().
  std::string cache_dir{};  // Where packed weights are kept (pack_cache.h); empty: nowhere.
  // None: runs may have an observer, for no value stays inside joined steps.
  std::optional<StripLimits> strips = StripLimits::of_host();
};

struct RunOptions {
  // Memory for outputs, by graph output; undefined ones, and all when this is empty, are allocated.
  // It overlaps neither inputs nor one another.
  std::span<const Tensor> outputs;
  const Observer* observer = nullptr;         // Of an engine without strips.
  const std::atomic<bool>* cancel = nullptr;  // Checked between steps.
  // Called with the index of a step and its time, for profiles.
  const std::function<void(const Step&, double elapsed_us)>* profiler = nullptr;
};

class Engine {
 public:
  // The graph must have been through the session pipeline (passes/pipeline.h).
  Engine(Graph graph, EngineOptions options);
  ~Engine();

  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  [[nodiscard]] int threads() const noexcept { return threads_; }

  // Does what needs no data: packs weights on all threads where the model says shapes, and plans
  // when it says all of its inputs'. A run does what is left. Before the first run.
  // Errors: planning errors.
  Status warm_up();

  // Runs on one tensor a graph input, in order; returns one a graph output.
  // Errors: kDataMismatch for a wrong type, rank or fixed size, naming the input or the output;
  // planning errors; kInterrupted.
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const RunOptions& options = {});

  // The first plan for inputs of these shapes, made now if it is not cached.
  Result<std::shared_ptr<const Plan>> plan_for(std::span<const Tensor> inputs);

  // Checks one tensor a graph input against the model's declared types.
  Status check_inputs(std::span<const Tensor> inputs) const;

 private:
  struct Segment;
  struct Context;

  Result<std::shared_ptr<const Plan>> plan_for_types(std::span<const ValueInfo> inputs);
  std::unique_ptr<Context> take_context(std::span<const Tensor> inputs);
  Result<std::shared_ptr<const Plan>> plan_after(const std::shared_ptr<const Plan>& plan,
                                                 const Context& context);
  Status run_steps(Segment& segment, ThreadPool& pool, const RunOptions& options);
  Status run_in_lanes(Segment& segment, std::size_t first, const ThreadPool& pool,
                      const RunOptions& options);
  Status check_bound(std::span<const Tensor> inputs, std::span<const Tensor> bound) const;
  Result<std::vector<Tensor>> make_outputs(const Plan& plan, std::span<const Tensor> bound) const;
  Result<std::vector<Tensor>> run_plans(Context& context, std::span<const Tensor> inputs,
                                        const RunOptions& options);
  template <class Make>
  Result<std::shared_ptr<const Plan>> cached(std::string key, const Make& make);

  Graph graph_;
  int threads_;
  std::optional<StripLimits> strips_;
  ThreadPool pool_;
  PackCache packs_;
  std::once_flag constants_taken_;  // From packs_, before the first plan.
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<const Plan>>> plans_;  // Newest last.
  std::vector<std::unique_ptr<Context>> idle_;
};

}  // namespace intact
