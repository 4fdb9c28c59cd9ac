// lanes.h: steps one after another in one parallel region, without a barrier after each.
//
// Every step is cut into one share a lane. A lane does its shares in order; it begins a step that
// waits when all lanes have done all steps before, and any other step at once. Each lane says how
// far it is in a cache line of its own, so that waiting costs the way of one line between two
// cores. A lane belongs to no thread: each thread of the region sees one lane to its end, and one
// that waits goes on with a lane that nobody works on. So fewer threads than lanes, or one that the
// system has taken its core from between two shares, only cost time.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>

#include "base/thread_pool.h"

namespace intact {

class Lanes {
 public:
  explicit Lanes(int count);
  ~Lanes();
  Lanes(Lanes&&) noexcept;
  Lanes& operator=(Lanes&&) noexcept;

  [[nodiscard]] int count() const noexcept { return count_; }

  // Calls share(step, lane) for every step in [0, steps) and lane in [0, count()), on the threads
  // of the pool, as waits(step) -> bool allows; returns when all are done. After an exception the
  // shares that have not begun are left out, and it is rethrown here. One call at a time.
  template <class Waits, class Share>
  void run(const ThreadPool& pool, std::uint32_t steps, Waits&& waits, Share&& share) {
    struct Both {
      std::remove_reference_t<Waits>& waits;
      std::remove_reference_t<Share>& share;
    } both{waits, share};
    run_steps(pool, {steps, &both,
                     [](void* b, std::uint32_t step) { return static_cast<Both*>(b)->waits(step); },
                     [](void* b, std::uint32_t step, std::uint32_t lane) {
                       static_cast<Both*>(b)->share(step, lane);
                     }});
  }

 private:
  struct Lane;
  struct Work {
    std::uint32_t steps;
    void* object;
    bool (*waits)(void*, std::uint32_t step);
    void (*share)(void*, std::uint32_t step, std::uint32_t lane);
  };

  void run_steps(const ThreadPool& pool, const Work& work);
  void see_to_its_end(const Work& work, std::uint32_t lane) noexcept;
  [[nodiscard]] bool may_begin(const Work& work, std::uint32_t step) const noexcept;
  bool go_on(const Work& work, std::uint32_t lane) noexcept;

  int count_;
  std::unique_ptr<Lane[]> lanes_;
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};
};

}  // namespace intact
