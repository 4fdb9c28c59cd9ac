// thread_pool.h: persistent workers that share the tasks of one call.
//
// One pool serves the process. A parallel region is `count` tasks, numbered; which worker takes
// which is not defined, so tasks must not depend on it: results are the same for any pool size.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace intact {

class ThreadPool {
 public:
  // `threads` counts the caller: 1 runs everything on the caller's thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int threads() const noexcept { return threads_; }

  // Runs task(i) for i in [0, count) on at most `threads()` threads and returns when all are done.
  // The first exception of a task is rethrown here. A call from within a task runs on that thread.
  void run(std::size_t count, const std::function<void(std::size_t)>& task);

  // Within a task of run(): the number of the thread, in [0, threads()); for memory of one's own.
  static std::size_t worker() noexcept;

 private:
  struct State;
  int threads_;
  std::unique_ptr<State> state_;
};

// Returns the default number of threads: the least of the affinity mask's cores, the cgroup CPU
// quota (rounded up), and INTACT_NUM_THREADS or else OMP_NUM_THREADS where set.
int default_threads();

}  // namespace intact
