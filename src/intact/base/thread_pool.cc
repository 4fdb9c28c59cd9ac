#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fp_env.h"

namespace intact {
namespace {

thread_local bool inside_task = false;
thread_local std::size_t worker_number = 0;

}  // namespace

struct ThreadPool::State {
  std::mutex region;  // Held by the caller whose tasks are running.
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::vector<std::thread> workers;
  const std::function<void(std::size_t)>* task = nullptr;
  std::size_t count = 0;
  std::atomic<std::size_t> next{0};
  std::size_t generation = 0;
  int active = 0;  // Workers still inside the current region.
  bool stop = false;
  std::exception_ptr error;

  void work(std::size_t number) noexcept {
    inside_task = true;
    worker_number = number;
    for (;;) {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) break;
      try {
        (*task)(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
    }
    inside_task = false;
  }

  void serve(std::size_t number) {
    const ScopedFpEnv fp;
    std::size_t seen = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return stop || generation != seen; });
      if (stop) return;
      seen = generation;
      lock.unlock();
      work(number);
      lock.lock();
      if (--active == 0) done.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads)
    : threads_(std::max(1, threads)), state_(std::make_unique<State>()) {
  for (int i = 1; i < threads_; ++i)
    state_->workers.emplace_back(
        [state = state_.get(), i] { state->serve(static_cast<std::size_t>(i)); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

void ThreadPool::run(std::size_t count, const std::function<void(std::size_t)>& task) {
  if (threads_ == 1 || count <= 1 || inside_task) {
    const std::size_t outer = std::exchange(worker_number, 0);
    for (std::size_t i = 0; i < count; ++i) task(i);
    worker_number = outer;
    return;
  }
  State& s = *state_;
  const std::lock_guard region(s.region);
  {
    const std::lock_guard lock(s.mutex);
    s.task = &task;
    s.count = count;
    s.next.store(0, std::memory_order_relaxed);
    s.active = threads_ - 1;
    s.error = nullptr;
    ++s.generation;
  }
  s.wake.notify_all();
  s.work(0);
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, [&] { return s.active == 0; });
  if (s.error) std::rethrow_exception(s.error);
}

std::size_t ThreadPool::worker() noexcept { return worker_number; }

int default_threads() {
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) threads = std::max(1, CPU_COUNT(&mask));
  if (std::ifstream quota("/sys/fs/cgroup/cpu.max"); quota) {
    std::string limit;
    double period = 0;
    if (quota >> limit >> period && limit != "max" && period > 0)
      threads = std::min(
          threads, std::max(1, static_cast<int>(std::ceil(std::atof(limit.c_str()) / period))));
  }
  for (const char* name : {"INTACT_NUM_THREADS", "OMP_NUM_THREADS"}) {
    if (const char* value = std::getenv(name); value != nullptr && std::atoi(value) > 0) {
      threads = std::min(threads, std::atoi(value));
      break;
    }
  }
  return threads;
}

}  // namespace intact
