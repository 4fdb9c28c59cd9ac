// interrupt.h: Ctrl-C in a call that Python's main thread makes itself.
//
// Python learns of a signal when it runs again; the engine looks between steps. While a watch lives
// on the main thread, SIGINT raises a flag for the engine, and then does what it did before.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace intact::python {

// Which runs of a session end before anybody who presses Ctrl-C would notice: those on no more data
// than one that took less than a few milliseconds. A watch costs system calls, as much as a small
// network's step.
class BriefRuns {
 public:
  using Duration = std::chrono::steady_clock::duration;

  BriefRuns() = default;
  BriefRuns(BriefRuns&& other) noexcept : bytes_(other.bytes_.load()) {}

  [[nodiscard]] bool covers(std::size_t bytes) const noexcept {
    return static_cast<std::int64_t>(bytes) <= bytes_.load(std::memory_order_relaxed);
  }
  void note(std::size_t bytes, Duration took) noexcept {
    constexpr std::chrono::milliseconds kBrief{5};
    if (took >= kBrief)
      bytes_.store(-1, std::memory_order_relaxed);
    else if (!covers(bytes))
      bytes_.store(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> bytes_{-1};  // None.
};

class InterruptWatch {
 public:
  explicit InterruptWatch(bool wanted = true);
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  // Null where nothing is watched: unwanted, on other threads, and where SIGINT is not Python's.
  [[nodiscard]] const std::atomic<bool>* flag() const;

 private:
  bool watching_ = false;
};

}  // namespace intact::python
