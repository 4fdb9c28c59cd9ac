// plan_strips.h: steps that follow one another as one step, which works strip by strip.
//
// What a step makes line by line for the next one need never be there as a whole. A task of the
// joined step makes some lines of the last step's output; before each strip of them it makes the
// lines of the step before that they are made of, and so on back to the first. Lines that the next
// strip is made of too stay; only where two tasks meet are some made by both. So a value in between
// takes a few lines of a worker's scratch memory, which stay in its second-level cache, instead of
// a place in the arena, and the threads wait for one another once, not after each step.
//
// The same operations make the same elements: not a bit depends on strips.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/plan.h"

namespace intact {

class Strips {
 public:
  Strips(Step first, const StripLimits& limits);

  // Joins `next`, of whose inputs `input` is what the last step makes and nothing else reads, for
  // so many threads. Returns false, and takes nothing, where that is not possible or not worth it:
  // that is outside of the limits.
  bool join(Step& next, std::size_t input, int threads);

  [[nodiscard]] std::size_t size() const noexcept { return steps_.size(); }

  // The joined step; the only one as it is. Its inputs are those of all steps in order; it does not
  // read those that it makes itself.
  [[nodiscard]] static Step as_step(Strips strips, int threads);

 private:
  // How a step takes part.
  struct Member {
    std::int64_t lines = 0;       // Of its output.
    std::int64_t line_bytes = 0;  // Of one.
    LineWindow reads;             // Of what the member before makes.
    std::int64_t weight_bytes = 0;
    std::size_t through = 0;      // The input, of all, that the member before makes.
    std::size_t first_input = 0;  // Of all.
    std::size_t scratch = 0;      // Where the step's own begins.
    std::size_t held = 0;         // Where the lines in flight lie in a worker's memory.
    std::int64_t capacity = 0;    // Lines that fit there.
  };
  using Members = std::vector<Member>;

  static Member member(const Step& step);
  static std::vector<std::int64_t> needed(const Members& members, std::int64_t lines);
  [[nodiscard]] std::int64_t strip_lines(const Members& members) const;
  [[nodiscard]] std::int64_t parts(const Members& members, int threads, std::int64_t most) const;
  void run(const StepArgs& args, const LineRange& lines) const;

  StripLimits limits_;
  std::vector<Step> steps_;
  Members members_;
  std::int64_t strip_ = 0;  // Lines of the last output.
  std::size_t own_ = 0;     // Where the first worker's memory begins in the scratch.
  std::size_t own_bytes_ = 0;
};

}  // namespace intact
