// thread_pool.h: the tasks of one call shared among the process's workers.
//
// A parallel region is `count` tasks, numbered. The numbers are cut into one contiguous share a
// thread, the same for equal counts and teams: steps whose tasks go over the same rows find them in
// the caches of the core that wrote them. Who has done its own share takes from others', so which
// thread does which task is not defined, and tasks must not depend on it: results are the same for
// any number of threads.
//
// The workers are one crew for the whole process, however many pools there are. A caller works too,
// together with the workers that nobody else uses at that moment; when all are taken it works
// alone, so concurrent regions never wait for each other. Workers without work spin for 50 us, then
// sleep.
//
// A forked child has a crew of its own, also when a task forks: within the task it may run regions.
// It cannot go on with the region that the task belongs to, whose other tasks are half done by
// threads of the parent. It should end within the task; where it returns from it, run() throws
// InternalError on the thread that had called it, and on a worker, whose caller is not in the
// child, the child is aborted.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace intact {

// How many threads a caller may use. Costs nothing to make; the crew grows at the first region.
class ThreadPool {
 public:
  static constexpr int kMaxThreads = 256;

  // `threads` counts the caller: 1 runs everything on the caller's thread.
  explicit ThreadPool(int threads) noexcept;
  ~ThreadPool();
  ThreadPool(ThreadPool&&) noexcept;
  ThreadPool& operator=(ThreadPool&&) noexcept;

  // From now on workers stay from one region to the next, for as long as this object lives: regions
  // start faster, and a share has the same core each time. One thread at a time may use it then.
  void keep_workers();

  [[nodiscard]] int threads() const noexcept { return threads_; }

  // Runs task(i) for i in [0, count) on at most `threads()` threads and returns when all are done.
  // The first exception of a task is rethrown here. A call from within a task runs on that thread.
  template <class Task>
  void run(std::size_t count, Task&& task) const {
    using Plain = std::remove_reference_t<Task>;
    run_range(
        count,
        [](const void* object, std::size_t first, std::size_t last) {
          auto& call = *static_cast<Plain*>(const_cast<void*>(object));
          for (std::size_t i = first; i < last; ++i) call(i);
        },
        std::addressof(task));
  }

  // Within a task of run(): the number of the thread, in [0, threads()); for memory of one's own.
  static std::size_t worker() noexcept;

  // False where some cores do more work than others: then shares are not equal.
  static bool cores_alike() noexcept;

  struct Team;

 private:
  using RangeFn = void (*)(const void* task, std::size_t first, std::size_t last);
  void run_range(std::size_t count, RangeFn call, const void* task) const;

  int threads_;
  std::unique_ptr<Team> kept_;
};

}  // namespace intact
