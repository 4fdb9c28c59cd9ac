#include "base/lanes.h"

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/pause.h"

namespace intact {
namespace {

constexpr std::size_t kCacheLine = 64;
// Looks at the others before a thread goes on with their lanes (about a microsecond), and before it
// gives its core to them.
constexpr int kPatience = 32;
constexpr int kLooks = 2000;

}  // namespace

// Others look at `done` all the time, at `taken` only when they have lost patience: who works on
// the lane takes the next step in its own cache, and tells of it without waiting.
struct Lanes::Lane {
  alignas(kCacheLine) std::atomic<std::uint32_t> taken{0};  // Steps begun.
  alignas(kCacheLine) std::atomic<std::uint32_t> done{0};   // Steps done; at most one less.
};

Lanes::Lanes(int count)
    : count_(std::max(1, count)), lanes_(new Lane[static_cast<std::size_t>(count_)]) {}
Lanes::~Lanes() = default;
Lanes::Lanes(Lanes&& other) noexcept
    : count_(other.count_), lanes_(std::move(other.lanes_)), error_(std::move(other.error_)) {}
Lanes& Lanes::operator=(Lanes&& other) noexcept {
  count_ = other.count_;
  lanes_ = std::move(other.lanes_);
  return *this;
}

void Lanes::run_steps(const ThreadPool& pool, const Work& work) {
  for (int i = 0; i < count_; ++i) {
    lanes_[static_cast<std::size_t>(i)].taken.store(0, std::memory_order_relaxed);
    lanes_[static_cast<std::size_t>(i)].done.store(0, std::memory_order_relaxed);
  }
  failed_.store(false, std::memory_order_relaxed);
  pool.run(static_cast<std::size_t>(count_),
           [&](std::size_t lane) { see_to_its_end(work, static_cast<std::uint32_t>(lane)); });
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

bool Lanes::may_begin(const Work& work, std::uint32_t step) const noexcept {
  if (!work.waits(work.object, step)) return true;
  for (int i = 0; i < count_; ++i)
    if (lanes_[static_cast<std::size_t>(i)].done.load(std::memory_order_acquire) < step)
      return false;
  return true;
}

// Does the next share of a lane; returns false when it has none, must wait or is worked on.
bool Lanes::go_on(const Work& work, std::uint32_t number) noexcept {
  Lane& lane = lanes_[number];
  std::uint32_t step = lane.done.load(std::memory_order_acquire);
  if (step == work.steps || lane.taken.load(std::memory_order_relaxed) != step ||
      !may_begin(work, step) ||
      !lane.taken.compare_exchange_strong(step, step + 1, std::memory_order_acq_rel))
    return false;
  try {
    if (!failed_.load(std::memory_order_relaxed)) work.share(work.object, step, number);
  } catch (...) {
    if (!failed_.exchange(true)) error_ = std::current_exception();
  }
  lane.done.store(step + 1, std::memory_order_release);
  return true;
}

void Lanes::see_to_its_end(const Work& work, std::uint32_t own) noexcept {
  const auto all = static_cast<std::uint32_t>(count_);
  int patience = kPatience;
  int looks = 0;
  while (lanes_[own].done.load(std::memory_order_acquire) < work.steps) {
    if (go_on(work, own)) {
      looks = 0;
      patience = std::min(kPatience, 2 * patience);
      continue;
    }
    if (++looks < patience) {
      pause();
      continue;
    }
    bool helped = false;
    for (std::uint32_t i = 1; i < all; ++i) helped |= go_on(work, (own + i) % all);
    if (helped) {
      patience = 1;  // Who was not there will hardly be there for the next step.
      looks = 0;
    } else if (looks > kLooks) {
      sched_yield();
    } else {
      pause();
    }
  }
}

}  // namespace intact
