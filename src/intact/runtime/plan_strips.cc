#include "runtime/plan_strips.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/align.h"
#include "runtime/ops/cut.h"
#include "runtime/step_cost.h"

namespace intact {
namespace {

// A worker has memory for so many times the lines of a strip: they are moved less often.
constexpr std::int64_t kRoom = 2;

}  // namespace

StripLimits StripLimits::of_cache(std::int64_t bytes) {
  StripLimits limits;
  limits.least_value = bytes;
  limits.most_in_flight = limits.most_weights = 3 * bytes / 4;
  return limits;
}

StripLimits StripLimits::of_host() {
  constexpr std::int64_t kUsual = std::int64_t{512} << 10;
  static const std::int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return of_cache(found > 0 ? found : kUsual);
}

Strips::Member Strips::member(const Step& step) {
  Member m;
  m.lines = step.lines.count;
  if (m.lines == 0) return m;
  const ValueInfo& out = step.out_info[0];
  const auto bytes = static_cast<std::int64_t>(bytes_of(out.dtype, out.size()));
  m.line_bytes = bytes / m.lines;
  for (const ValueInfo& info : step.in_info)
    if (info.constant != nullptr)
      m.weight_bytes += static_cast<std::int64_t>(info.constant->bytes());
  return m;
}

Strips::Strips(Step first, const StripLimits& limits) : limits_(limits) {
  members_.push_back(member(first));
  steps_.push_back(std::move(first));
}

// The lines of each member that so many of the last one are made of.
std::vector<std::int64_t> Strips::needed(const Members& members, std::int64_t lines) {
  std::vector<std::int64_t> all(members.size(), lines);
  for (std::size_t k = members.size() - 1; k > 0; --k)
    all[k - 1] = std::min(members[k - 1].lines, members[k].reads.of(all[k]));
  return all;
}

// The most lines of the last output whose strip fits. 0: fewer than the least.
std::int64_t Strips::strip_lines(const Members& members) const {
  const auto fits = [&](std::int64_t lines) {
    const auto all = needed(members, lines);
    std::int64_t held = 0, whole = 0;
    for (std::size_t k = 0; k + 1 < members.size(); ++k) {
      held += kRoom * all[k] * members[k].line_bytes;
      whole += members[k].lines * members[k].line_bytes;
    }
    return held <= limits_.most_in_flight &&
           static_cast<double>(held) <= limits_.most_held * static_cast<double>(whole);
  };
  const std::int64_t most = std::min(limits_.most_lines, members.back().lines);
  std::int64_t lines = 0;
  while (lines < most && fits(lines + 1)) ++lines;
  return lines < limits_.least_lines ? 0 : lines;
}

// The tasks, at most so many a thread, that make few lines twice. 0: one a thread makes too many.
std::int64_t Strips::parts(const Members& members, int threads, std::int64_t most) const {
  const auto one = needed(members, 1);
  const auto two = needed(members, 2);
  double share = 0;  // Of its lines that a member makes twice where two tasks meet.
  for (std::size_t k = 0; k + 1 < members.size(); ++k)
    share = std::max(share, static_cast<double>(std::max<std::int64_t>(0, 2 * one[k] - two[k])) /
                                static_cast<double>(members[k].lines));
  for (; most > 0; --most)
    if (static_cast<double>(threads * most - 1) * share <= limits_.most_twice) break;
  return std::min(members.back().lines, threads * most);
}

bool Strips::join(Step& next, std::size_t input, int threads) {
  if (steps_.back().lines.count == 0 || next.lines.count == 0 || input >= next.lines.reads.size() ||
      next.lines.reads[input].lines != members_.back().lines ||
      members_.back().lines * members_.back().line_bytes < limits_.least_value)
    return false;
  Members joined = members_;
  joined.push_back(member(next));
  Member& last = joined.back();
  last.reads = next.lines.reads[input];
  last.first_input = joined[size() - 1].first_input + steps_.back().in_info.size();
  last.through = last.first_input + input;
  std::int64_t weights = 0;
  for (const Member& m : joined) weights += m.weight_bytes;
  if (weights > limits_.most_weights || strip_lines(joined) == 0 ||
      parts(joined, threads, 1) == 0 || (limits_.all_threads && last.lines < threads))
    return false;
  members_ = std::move(joined);
  steps_.push_back(std::move(next));
  return true;
}

Step Strips::as_step(Strips strips, int threads) {
  if (strips.size() == 1) {
    strips.steps_[0].lines = {};
    return std::move(strips.steps_[0]);
  }
  Step step;
  double us = 0;
  for (std::size_t k = 0; k < strips.size(); ++k) {
    Step& s = strips.steps_[k];
    us += step_cost_us(*s.node, s.in_info, s.out_info);
    step.in_info.insert(step.in_info.end(), s.in_info.begin(), s.in_info.end());
    strips.members_[k].scratch = step.scratch_bytes;
    step.scratch_bytes = align_up(step.scratch_bytes + s.scratch_bytes);
    s.fn = {};
    s.tasks = {};
  }
  step.node = strips.steps_.back().node;
  step.out_info = strips.steps_.back().out_info;
  const std::int64_t a_thread = tasks_a_thread(us, threads);
  const Cut cut =
      Cut::of(strips.members_.back().lines, strips.parts(strips.members_, threads, a_thread));
  strips.strip_ = std::min(strips.strip_lines(strips.members_), cut.largest());
  const auto a_strip = needed(strips.members_, strips.strip_);
  const auto a_task = needed(strips.members_, cut.largest());
  for (std::size_t k = 0; k + 1 < strips.size(); ++k) {
    Member& m = strips.members_[k];
    m.capacity = std::min(a_task[k], kRoom * a_strip[k]);
    m.held = strips.own_bytes_ + kAlignBytes;  // Vectors that end in line may begin before it.
    strips.own_bytes_ =
        align_up(m.held + static_cast<std::size_t>(m.capacity * m.line_bytes) + kSlackBytes);
  }
  strips.own_ = step.scratch_bytes;
  step.scratch_bytes += strips.own_bytes_ * static_cast<std::size_t>(threads);

  const std::int64_t line = step.out_info[0].size() / cut.size;
  const auto all = std::make_shared<const Strips>(std::move(strips));
  step.joined = &all->steps_;
  StepTasks tasks;
  tasks.count = static_cast<std::size_t>(cut.parts);
  tasks.fn = [all, cut](const StepArgs& args, std::size_t t) {
    const auto part = static_cast<std::int64_t>(t);
    all->run(args, {cut.begin(part), cut.end(part)});
  };
  tasks.writes = [cut, line](std::size_t t) {
    const auto part = static_cast<std::int64_t>(t);
    return Extent{line, cut.begin(part), cut.end(part), 0, line};
  };
  step.fn = tasks.all();
  if (a_thread == 1) step.tasks = std::move(tasks);
  return step;
}

void Strips::run(const StepArgs& args, const LineRange& lines) const {
  std::vector<std::byte*> in(args.in.begin(), args.in.end());
  std::vector<LineRange> need(size()), held(size());
  std::byte* const own = args.scratch + own_ + ThreadPool::worker() * own_bytes_;
  const Cut strips = Cut::of(lines.count(), (lines.count() + strip_ - 1) / strip_);
  for (std::int64_t s = 0; s < strips.parts; ++s) {
    need.back() = {lines.begin + strips.begin(s), lines.begin + strips.end(s)};
    for (std::size_t k = size() - 1; k > 0; --k) need[k - 1] = members_[k].reads.of(need[k]);
    for (std::size_t k = 0; k < size(); ++k) {
      const Member& m = members_[k];
      std::byte* out = args.out[0];
      LineRange make = need[k];
      if (k + 1 < size()) {
        LineRange& there = held[k];  // From its beginning in memory to the last one made.
        std::byte* const memory = own + m.held;
        const auto at = [&](std::int64_t i) { return memory + (i - there.begin) * m.line_bytes; };
        if (make.end - there.begin > m.capacity) {
          const std::int64_t kept = std::max<std::int64_t>(0, there.end - make.begin);
          if (kept > 0)
            std::memmove(memory, at(make.begin), static_cast<std::size_t>(kept * m.line_bytes));
          there = {make.begin, make.begin + kept};
        }
        make.begin = std::max(make.begin, there.end);
        there.end = std::max(there.end, make.end);
        out = at(0);
        in[members_[k + 1].through] = out;
      }
      if (make.count() <= 0) continue;
      steps_[k].lines.fn({std::span(in).subspan(m.first_input, steps_[k].in_info.size()),
                          std::span(&out, 1), args.scratch + m.scratch, args.pool, args.status},
                         make);
    }
  }
}

}  // namespace intact
