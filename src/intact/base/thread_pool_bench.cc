// What a parallel region costs beside its tasks.
#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>

#include "base/thread_pool.h"

namespace intact {
namespace {

// An empty region: workers spin between them.
void EmptyRegion(benchmark::State& state) {
  const ThreadPool pool(static_cast<int>(state.range(0)));
  for ([[maybe_unused]] auto _ : state)
    pool.run(static_cast<std::size_t>(state.range(0)),
             [](std::size_t i) { benchmark::DoNotOptimize(i); });
}
BENCHMARK(EmptyRegion)->Arg(1)->Arg(2)->Arg(4);

// Work of `range(0)` ns in four pieces, on one thread and on two.
void SharedWork(benchmark::State& state) {
  const ThreadPool pool(static_cast<int>(state.range(1)));
  const std::chrono::nanoseconds piece(state.range(0) / 4);
  for ([[maybe_unused]] auto _ : state)
    pool.run(4, [&](std::size_t) {
      const auto end = std::chrono::steady_clock::now() + piece;
      while (std::chrono::steady_clock::now() < end) continue;
    });
}
BENCHMARK(SharedWork)->ArgsProduct({{4'000, 20'000, 100'000}, {1, 2}})->UseRealTime();

// The same after the workers have gone to sleep.
void AfterSleep(benchmark::State& state) {
  const ThreadPool pool(2);
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    state.ResumeTiming();
    pool.run(2, [](std::size_t i) { benchmark::DoNotOptimize(i); });
  }
}
BENCHMARK(AfterSleep)->Iterations(2000)->UseRealTime();

}  // namespace
}  // namespace intact
