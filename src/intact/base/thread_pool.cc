#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_budget.h"
#include "base/fp_env.h"

namespace intact {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::chrono::microseconds kSpin{50};

thread_local bool inside_task = false;
thread_local std::size_t worker_number = 0;

inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Returns true as soon as done() does, false when it has not for kSpin.
template <class Done>
bool spin_until(const Done& done) noexcept {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// Where the current thread is: in a task or not, and its number there.
class Position {
 public:
  Position(bool in_task, std::size_t number) noexcept
      : outer_in_task_(std::exchange(inside_task, in_task)),
        outer_number_(std::exchange(worker_number, number)) {}
  ~Position() {
    inside_task = outer_in_task_;
    worker_number = outer_number_;
  }
  Position(const Position&) = delete;
  Position& operator=(const Position&) = delete;

 private:
  bool outer_in_task_;
  std::size_t outer_number_;
};

// What a thread takes at a time of the tasks that are left: half of its fair share, so that the
// last pieces are small; more on a large core than on a small one.
class Shares {
 public:
  std::size_t of(std::size_t left, std::size_t threads) const noexcept {
    const std::size_t parts = 2 * threads * kUnit;
    std::size_t mine = kUnit;
    if (!weights_.empty()) {
      const int cpu = sched_getcpu();
      if (cpu >= 0 && static_cast<std::size_t>(cpu) < weights_.size())
        mine = weights_[static_cast<std::size_t>(cpu)];
    }
    // A large core among small ones may weigh more than `parts`: never more than what is left.
    return std::clamp<std::size_t>(left * mine / parts, 1, left);
  }

 private:
  static constexpr std::size_t kUnit = 1024;  // The weight of a core of mean capacity.

  static std::vector<std::size_t> relative_capacities() {
    std::vector<std::size_t> weights = core_capacities();
    std::size_t sum = 0;
    for (const std::size_t w : weights) sum += w;
    const bool alike = sum == 0 || std::all_of(weights.begin(), weights.end(),
                                               [&](std::size_t w) { return w == weights.front(); });
    if (alike) return {};
    for (std::size_t& w : weights) w = w * kUnit * weights.size() / sum;
    return weights;
  }

  const std::vector<std::size_t> weights_ = relative_capacities();  // By CPU; empty: all alike.
};

struct Region;

// What a worker is doing. Posting, starting and taking back are exchanges of this one word.
enum State : int {
  kSpare,    // Nothing; it spins.
  kAsleep,   // Nothing; it must be notified.
  kPosted,   // It has a region and has not started.
  kWorking,  // It is in the region.
  kAwaited,  // So, and somebody sleeps until it has left.
};

struct alignas(kCacheLine) Worker {
  std::atomic<int> state{kSpare};
  Region* region = nullptr;
  std::size_t member = 0;
};

// One call of run(), on the caller's stack. Its members form a binary tree with the caller, member
// 0, as the root: each starts its two children, works, and waits for them; so starting and ending
// take a time that grows with the logarithm of their number.
struct Region {
  using RangeFn = void (*)(const void*, std::size_t, std::size_t);

  RangeFn call;
  const void* task;
  std::size_t count;
  const Shares& shares;
  std::span<Worker* const> workers;  // Member i + 1 is workers[i].
  std::exception_ptr error;
  std::atomic<bool> failed{false};
  alignas(kCacheLine) std::atomic<std::size_t> next{0};

  void join(std::size_t member) noexcept {
    for (const std::size_t child : {2 * member + 1, 2 * member + 2})
      if (child <= workers.size()) post(child);
    take_tasks(member);
    for (const std::size_t child : {2 * member + 1, 2 * member + 2})
      if (child <= workers.size()) retire(*workers[child - 1]);
  }

 private:
  void post(std::size_t member) noexcept {
    Worker& w = *workers[member - 1];
    w.region = this;
    w.member = member;
    if (w.state.exchange(kPosted, std::memory_order_acq_rel) == kAsleep) w.state.notify_one();
  }

  void take_tasks(std::size_t member) noexcept {
    const Position position(true, member);
    std::size_t first = next.load(std::memory_order_relaxed);
    while (first < count) {
      const std::size_t n = shares.of(count - first, workers.size() + 1);
      if (!next.compare_exchange_weak(first, first + n, std::memory_order_relaxed)) continue;
      try {
        call(task, first, first + n);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
      first = next.load(std::memory_order_relaxed);
    }
  }

  // No task is left. A worker that has not started, because the system has not given it a core yet,
  // is not waited for.
  static void retire(Worker& w) noexcept {
    int state = kPosted;
    if (w.state.compare_exchange_strong(state, kSpare, std::memory_order_acq_rel)) return;
    // It may have left so long ago that it sleeps.
    const auto left = [&] {
      const int now = w.state.load(std::memory_order_acquire);
      return now == kSpare || now == kAsleep;
    };
    if (left() || spin_until(left)) return;
    state = kWorking;
    if (w.state.compare_exchange_strong(state, kAwaited, std::memory_order_acq_rel))
      w.state.wait(kAwaited, std::memory_order_acquire);
  }
};

void serve(Worker& self) noexcept {
  const ScopedFpEnv fp;
  for (;;) {
    const auto posted = [&] { return self.state.load(std::memory_order_relaxed) == kPosted; };
    if (!spin_until(posted)) {
      int state = kSpare;
      if (self.state.compare_exchange_strong(state, kAsleep)) self.state.wait(kAsleep);
    }
    int state = kPosted;
    if (!self.state.compare_exchange_strong(state, kWorking, std::memory_order_acq_rel)) continue;
    self.region->join(self.member);
    if (self.state.exchange(kSpare, std::memory_order_acq_rel) == kAwaited) self.state.notify_one();
  }
}

// All workers of the process. They live as long as it does, and so does the crew: it is never
// destroyed, because a thread of the user's may run regions while the process exits.
class Crew {
 public:
  static Crew& instance() {
    static Crew* const crew = [] {
      auto* made = new Crew;
      pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                     [] { instance().restart(); });
      return made;
    }();
    return *crew;
  }

  // Takes at most wanted.size() spare workers, the most recently used first; the crew grows to
  // `limit` for it.
  std::size_t claim(std::span<Worker*> wanted, std::size_t limit) {
    const std::lock_guard lock(mutex_);
    while (spare_.size() < wanted.size() && living_ < limit && hire()) continue;
    const std::size_t n = std::min(wanted.size(), spare_.size());
    for (std::size_t i = 0; i < n; ++i) {
      wanted[i] = spare_.back();
      spare_.pop_back();
    }
    return n;
  }

  void release(std::span<Worker* const> workers) {
    const std::lock_guard lock(mutex_);
    spare_.insert(spare_.end(), workers.rbegin(), workers.rend());
  }

  const Shares shares{};

 private:
  // Returns false when the system gives no more threads; then there are fewer.
  bool hire() {
    // Before the thread starts: nothing may fail once it works with its Worker.
    spare_.reserve(all_.size() + 1);
    all_.reserve(all_.size() + 1);
    auto worker = std::make_unique<Worker>();
    // Signals are for the user's threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool hired = true;
    try {
      std::thread([w = worker.get()] { serve(*w); }).detach();
    } catch (const std::system_error&) {
      hired = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!hired) return false;
    spare_.push_back(worker.get());
    all_.push_back(std::move(worker));
    ++living_;
    return true;
  }

  // In a forked child: the parent's workers are not here. Their memory stays: it is owned by all_.
  void restart() {
    spare_.clear();
    living_ = 0;
    mutex_.unlock();
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> all_;
  std::vector<Worker*> spare_;  // The last one worked last.
  std::size_t living_ = 0;
};

}  // namespace

void ThreadPool::run_range(std::size_t count, RangeFn call, const void* task) const {
  if (threads_ == 1 || count <= 1 || inside_task) {
    const Position position(inside_task, 0);
    return call(task, 0, count);
  }
  Crew& crew = Crew::instance();
  const auto limit = static_cast<std::size_t>(threads_ - 1);
  std::array<Worker*, kMaxThreads> claimed;
  const std::size_t n = crew.claim(std::span(claimed).first(std::min(limit, count - 1)), limit);
  const std::span<Worker* const> workers(claimed.data(), n);
  Region region{call, task, count, crew.shares, workers, nullptr};
  region.join(0);
  crew.release(workers);
  if (region.error) std::rethrow_exception(region.error);
}

std::size_t ThreadPool::worker() noexcept { return worker_number; }

}  // namespace intact
