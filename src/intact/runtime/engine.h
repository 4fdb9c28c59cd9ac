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
#include <span>
#include <vector>

#include "runtime/plan.h"

namespace intact {

// Called after each step with what it wrote: the value, its type, and its bytes in memory order.
using Observer = std::function<Status(ValueId, const ValueInfo&, const std::byte*)>;

struct EngineOptions {
  int threads = 0;  // 0: default_threads().
};

struct RunOptions {
  const Observer* observer = nullptr;
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

  // Runs on one tensor a graph input, in order; returns one a graph output.
  // Errors: kDataMismatch for a wrong type, rank or fixed size, naming the input; planning errors;
  // kInterrupted.
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const RunOptions& options = {});

  // The plan for inputs of these shapes, made now if it is not cached.
  Result<std::shared_ptr<const Plan>> plan_for(std::span<const Tensor> inputs);

  // Checks one tensor a graph input against the model's declared types.
  Status check_inputs(std::span<const Tensor> inputs) const;

 private:
  struct Context;

  Graph graph_;
  int threads_;
  std::shared_ptr<ThreadPool> pool_;
  PackCache packs_;
  std::mutex mutex_;
  std::vector<std::pair<std::vector<Shape>, std::shared_ptr<const Plan>>> plans_;  // Newest last.
  std::vector<std::unique_ptr<Context>> idle_;
};

// Returns the process's pool of that many threads, made at first use and shared while used.
std::shared_ptr<ThreadPool> shared_pool(int threads);

}  // namespace intact
