#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/cpu_budget.h"
#include "base/fp_env.h"
#include "base/pause.h"

namespace intact {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::chrono::microseconds kSpin{50};

thread_local bool inside_task = false;
thread_local std::size_t worker_number = 0;

// Counts the forks between this process and the first of its line that had a crew.
std::atomic<std::uint64_t> generation{0};

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

// The tasks [first, last) of a member's share that nobody has taken yet, in one word.
class Share {
 public:
  struct Piece {
    std::uint32_t first, last;
    [[nodiscard]] bool empty() const noexcept { return first >= last; }
  };

  // Before the member can see it.
  void set(Piece all) noexcept { left_.store(pack(all), std::memory_order_relaxed); }

  // Takes half of what is left, so that the last pieces are small: the member from the front, a
  // thief from the back.
  Piece take_front() noexcept {
    return take([](Piece& left, std::uint32_t n) {
      left.first += n;
      return Piece{left.first - n, left.first};
    });
  }
  Piece take_back() noexcept {
    return take([](Piece& left, std::uint32_t n) {
      left.last -= n;
      return Piece{left.last, left.last + n};
    });
  }

 private:
  static std::uint64_t pack(Piece p) noexcept { return std::uint64_t{p.last} << 32 | p.first; }

  template <class Cut>
  Piece take(const Cut& cut) noexcept {
    std::uint64_t word = left_.load(std::memory_order_relaxed);
    for (;;) {
      Piece left{static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
      if (left.empty()) return left;
      const Piece piece = cut(left, (left.last - left.first + 1) / 2);
      if (left_.compare_exchange_weak(word, pack(left), std::memory_order_relaxed)) return piece;
    }
  }

  std::atomic<std::uint64_t> left_{0};
};

// How much work the core that a thread runs on does, relative to others; the same for all where
// cores are alike.
class Capacities {
 public:
  [[nodiscard]] bool alike() const noexcept { return by_cpu_.empty(); }
  [[nodiscard]] std::uint32_t here() const noexcept {
    const int cpu = sched_getcpu();
    const bool known = cpu >= 0 && static_cast<std::size_t>(cpu) < by_cpu_.size();
    return known ? static_cast<std::uint32_t>(by_cpu_[static_cast<std::size_t>(cpu)]) : 1;
  }

 private:
  static std::vector<std::size_t> unlike() {
    auto found = core_capacities();
    const auto [least, most] = std::minmax_element(found.begin(), found.end());
    if (least == found.end() || *least == *most) found.clear();
    return found;
  }

  const std::vector<std::size_t> by_cpu_ = unlike();
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

// A member's place in a region. One cache line, all that a worker needs to start, do one task and
// end: what two cores exchange for a short region is this line, to and fro.
struct alignas(kCacheLine) Seat {
  std::atomic<int> state{kSpare};
  std::uint32_t member = 0;
  std::uint32_t members = 0;
  bool steals = false;
  Region* region = nullptr;
  void (*call)(const void*, std::size_t, std::size_t) = nullptr;
  const void* task = nullptr;
  Share share;
  std::atomic<std::uint32_t> capacity{1};  // Of the core it last ran on, where they differ.
};
static_assert(sizeof(Seat) == kCacheLine);

// One call of run(), on the caller's stack. Member i owns the i-th share of the tasks, so that in
// the next region over the same rows a core finds in its caches what it wrote in this one; who has
// nothing left takes from others. The members form a binary tree with the caller, member 0, as the
// root: each starts its two children, works, and waits for them; so starting and ending take a time
// that grows with the logarithm of their number.
struct Region {
  using RangeFn = void (*)(const void*, std::size_t, std::size_t);

  RangeFn call;
  const void* task;
  std::uint32_t count;
  std::span<Seat* const> workers;  // Member i + 1 is workers[i].
  // Capacities of the members before member i; empty: all alike.
  std::span<const std::uint64_t> bounds{};
  std::exception_ptr error{};
  std::atomic<bool> failed{false};
  Seat root{};  // Of member 0.
  std::uint64_t born = generation.load(std::memory_order_relaxed);

  void run() noexcept {
    assign(root, 0);
    join(root, 0);
  }

  // True in a child that one of the tasks has forked: the other members are not here.
  [[nodiscard]] bool orphaned() const noexcept {
    return generation.load(std::memory_order_relaxed) != born;
  }

  // Does the part of the tree below a seat as thread `number`.
  void join(Seat& seat, std::uint32_t number) noexcept {
    const std::uint32_t last_child = std::min(2 * seat.member + 2, seat.members - 1);
    for (std::uint32_t child = 2 * seat.member + 1; child <= last_child; ++child) post(child);
    take_tasks(seat, number);
    for (std::uint32_t child = 2 * seat.member + 1; child <= last_child && !orphaned(); ++child)
      retire(*workers[child - 1], number);
  }

 private:
  void assign(Seat& seat, std::uint32_t member) noexcept {
    const auto members = static_cast<std::uint32_t>(workers.size()) + 1;
    const auto bound = [&](std::uint32_t i) {
      return static_cast<std::uint32_t>(bounds.empty()
                                            ? std::uint64_t{count} * i / members
                                            : std::uint64_t{count} * bounds[i] / bounds[members]);
    };
    seat.member = member;
    seat.members = members;
    seat.steals = count > members;
    seat.region = this;
    seat.call = call;
    seat.task = task;
    seat.share.set({bound(member), bound(member + 1)});
  }

  void post(std::uint32_t member) noexcept {
    Seat& seat = *workers[member - 1];
    assign(seat, member);
    if (seat.state.exchange(kPosted, std::memory_order_acq_rel) == kAsleep) seat.state.notify_one();
  }

  void take_tasks(Seat& seat, std::uint32_t number) noexcept {
    const Position position(true, number);
    const auto run = [&](Share::Piece piece) {
      if (piece.empty()) return false;
      try {
        seat.call(seat.task, piece.first, piece.last);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
      return !orphaned();
    };
    while (run(seat.share.take_front())) continue;
    if (!seat.steals) return;
    for (std::uint32_t i = seat.member + 1; i < seat.member + seat.members && !orphaned(); ++i) {
      const std::uint32_t victim = i % seat.members;
      Share& share = victim == 0 ? root.share : workers[victim - 1]->share;
      while (run(share.take_back())) continue;
    }
  }

  // A worker that has not started, because the system has not given it a core yet, is not waited
  // for: its part of the tree is done here.
  void retire(Seat& seat, std::uint32_t number) noexcept {
    // It may have left so long ago that it sleeps.
    const auto left = [&] {
      const int now = seat.state.load(std::memory_order_acquire);
      return now == kSpare || now == kAsleep;
    };
    int state = kPosted;
    if (seat.state.load(std::memory_order_relaxed) == kPosted &&
        seat.state.compare_exchange_strong(state, kSpare, std::memory_order_acq_rel))
      return join(seat, number);
    if (spin_until(left)) return;
    state = kWorking;
    if (seat.state.compare_exchange_strong(state, kAwaited, std::memory_order_acq_rel))
      seat.state.wait(kAwaited, std::memory_order_acquire);
  }
};

void serve(Seat& self, const Capacities& capacities) noexcept {
  const ScopedFpEnv fp;
  const auto note_capacity = [&] {
    if (!capacities.alike()) self.capacity.store(capacities.here(), std::memory_order_relaxed);
  };
  note_capacity();
  for (;;) {
    // Looking is an exchange too, which keeps the line here: the post brings it back in one go, and
    // nothing is left to ask for before the work starts.
    const auto start = [&] {
      int state = kPosted;
      return self.state.compare_exchange_strong(state, kWorking, std::memory_order_acquire,
                                                std::memory_order_relaxed);
    };
    if (!spin_until(start)) {
      int state = kSpare;
      if (self.state.compare_exchange_strong(state, kAsleep)) self.state.wait(kAsleep);
      continue;
    }
    self.region->join(self, self.member);
    if (self.region->orphaned()) std::abort();
    note_capacity();
    if (self.state.exchange(kSpare, std::memory_order_acq_rel) == kAwaited) self.state.notify_one();
  }
}

}  // namespace

// Workers that one caller has to itself.
struct ThreadPool::Team {
  std::array<Seat*, kMaxThreads - 1> workers;
  std::size_t size = 0;
  std::uint64_t born = 0;  // The generation of its crew: a forked child has another one.
};

namespace {

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

  // Brings a team up to `size` spare workers, if there are as many, the most recently used first;
  // the crew grows to `limit` for it.
  void fill(ThreadPool::Team& team, std::size_t size, std::size_t limit) {
    if (team.born != generation) team.size = 0;
    if (team.size >= size || (spare_count_.load(std::memory_order_relaxed) == 0 &&
                              living_.load(std::memory_order_relaxed) >= limit))
      return;
    const std::lock_guard lock(mutex_);
    while (spare_.size() < size - team.size && living_ < limit && hire()) continue;
    for (; team.size < size && !spare_.empty(); spare_.pop_back())
      team.workers[team.size++] = spare_.back();
    spare_count_ = spare_.size();
    team.born = generation;
  }

  void release(ThreadPool::Team& team) {
    const std::lock_guard lock(mutex_);
    if (team.born == generation)
      while (team.size > 0) spare_.push_back(team.workers[--team.size]);
    spare_count_ = spare_.size();
  }

  const Capacities capacities{};

 private:
  // Returns false when the system gives no more threads; then there are fewer.
  bool hire() {
    // Before the thread starts: nothing may fail once it works with its seat.
    spare_.reserve(all_.size() + 1);
    all_.reserve(all_.size() + 1);
    auto seat = std::make_unique<Seat>();
    // Signals are for the user's threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool hired = true;
    try {
      std::thread([this, s = seat.get()] { serve(*s, capacities); }).detach();
    } catch (const std::system_error&) {
      hired = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!hired) return false;
    spare_.push_back(seat.get());
    all_.push_back(std::move(seat));
    ++living_;
    return true;
  }

  // In a forked child: the parent's workers are not here. Their memory stays: it is owned by all_.
  void restart() {
    spare_.clear();
    spare_count_ = 0;
    living_ = 0;
    ++generation;
    inside_task = false;  // A task that forked may have regions of its own from here on.
    mutex_.unlock();
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Seat>> all_;
  std::vector<Seat*> spare_;  // The last one worked last.
  // Read without the lock, to see that asking for workers is in vain.
  std::atomic<std::size_t> spare_count_{0};
  std::atomic<std::size_t> living_{0};
};

}  // namespace

ThreadPool::ThreadPool(int threads) noexcept : threads_(std::clamp(threads, 1, kMaxThreads)) {}

ThreadPool::ThreadPool(ThreadPool&&) noexcept = default;
ThreadPool& ThreadPool::operator=(ThreadPool&& other) noexcept {
  std::swap(threads_, other.threads_);
  kept_.swap(other.kept_);
  return *this;
}
ThreadPool::~ThreadPool() {
  if (kept_ != nullptr && kept_->size > 0) Crew::instance().release(*kept_);
}

void ThreadPool::keep_workers() {
  if (threads_ > 1 && kept_ == nullptr) kept_ = std::make_unique<Team>();
}

void ThreadPool::run_range(std::size_t count, RangeFn call, const void* task) const {
  if (threads_ == 1 || count <= 1 || inside_task) {
    const Position position(inside_task, 0);
    return call(task, 0, count);
  }
  INTACT_CHECK(count <= UINT32_MAX, "{} tasks in one region", count);
  Crew& crew = Crew::instance();
  const auto limit = static_cast<std::size_t>(threads_ - 1);
  Team own;
  Team& team = kept_ != nullptr ? *kept_ : own;
  crew.fill(team, std::min(limit, count - 1), limit);
  const std::span<Seat* const> workers(team.workers.data(), std::min(team.size, count - 1));
  std::array<std::uint64_t, kMaxThreads + 1> bounds;
  Region region{call, task, static_cast<std::uint32_t>(count), workers};
  if (!crew.capacities.alike()) {
    bounds[0] = 0;
    bounds[1] = crew.capacities.here();
    for (std::size_t i = 0; i < workers.size(); ++i)
      bounds[i + 2] = bounds[i + 1] + workers[i]->capacity.load(std::memory_order_relaxed);
    region.bounds = std::span(bounds).first(workers.size() + 2);
  }
  region.run();
  if (kept_ == nullptr) crew.release(own);
  INTACT_CHECK(!region.orphaned(),
               "a task of a parallel region forked, and its child has returned from the task; the "
               "region's other threads are in the parent");
  if (region.error) std::rethrow_exception(region.error);
}

std::size_t ThreadPool::worker() noexcept { return worker_number; }

bool ThreadPool::cores_alike() noexcept { return Crew::instance().capacities.alike(); }

}  // namespace intact
