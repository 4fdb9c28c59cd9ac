#include "runtime/plan_lanes.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace intact {
namespace {

// Each lane looks at all others; the regions of many threads begin and end along a tree.
constexpr int kMaxLanes = 8;

// What each lane touches of a tensor; nothing where that is not known.
using LaneExtents = std::optional<std::vector<Extent>>;

std::int64_t area(const Extent& e) {
  return e.empty() ? 0 : (e.end - e.begin) * (e.last - e.first);
}

// The least extent around those of a lane's tasks. `exact`: nothing unless they fill it.
LaneExtents extents(const StepTasks& tasks, const ExtentFn& of, int lanes, bool exact) {
  if (!of) return std::nullopt;
  std::vector<Extent> all;
  for (int lane = 0; lane < lanes; ++lane) {
    Extent around;
    std::int64_t filled = 0;
    const auto [begin, end] = lane_share(tasks.count, lane, lanes);
    for (std::size_t t = begin; t < end; ++t) {
      const Extent e = of(t);
      if (e.empty()) continue;
      filled += area(e);
      if (around.empty()) {
        around = e;
        continue;
      }
      around.begin = std::min(around.begin, e.begin);
      around.end = std::max(around.end, e.end);
      around.first = std::min(around.first, e.first);
      around.last = std::max(around.last, e.last);
    }
    if (exact && filled != area(around)) return std::nullopt;
    all.push_back(around);
  }
  return all;
}

// A step that runs alone is lane 0's.
LaneExtents all_on_the_first(std::int64_t elements, int lanes) {
  std::vector<Extent> all(static_cast<std::size_t>(lanes));
  all[0] = {1, 0, elements, 0, 1};
  return all;
}

bool covers(const LaneExtents& written, const LaneExtents& read) {
  return written && read &&
         std::equal(written->begin(), written->end(), read->begin(),
                    [](const Extent& w, const Extent& r) { return w.covers(r); });
}

}  // namespace

std::pair<std::size_t, std::size_t> lane_share(std::size_t tasks, int lane, int lanes) {
  const auto bound = [&](int i) {
    return tasks * static_cast<std::size_t>(i) / static_cast<std::size_t>(lanes);
  };
  return {bound(lane), bound(lane + 1)};
}

std::vector<std::int32_t> plan_lanes(std::span<Step> steps, int threads,
                                     std::span<const StepBlocks> blocks) {
  std::vector<std::int32_t> group(steps.size());
  const bool any = threads > 1 && threads <= kMaxLanes && ThreadPool::cores_alike();
  const auto shared = [&](std::size_t s) { return !steps[s].alone && steps[s].tasks.count > 0; };
  // What the lanes have written since the last step that waits, by block.
  std::vector<std::pair<std::int32_t, LaneExtents>> fresh;
  std::int32_t groups = 0;

  // Whether a lane reads only what it has written itself, or was there for all.
  const auto keeps_to_itself = [&](std::size_t s) {
    for (std::size_t i = 0; i < blocks[s].in.size(); ++i) {
      const auto at = std::find_if(fresh.begin(), fresh.end(),
                                   [&](const auto& f) { return f.first == blocks[s].in[i]; });
      if (blocks[s].in[i] < 0 || at == fresh.end()) continue;
      const Step& step = steps[s];
      const LaneExtents read = step.alone ? all_on_the_first(step.in_info[i].size(), threads)
                               : i < step.tasks.reads.size()
                                   ? extents(step.tasks, step.tasks.reads[i], threads, false)
                                   : std::nullopt;
      if (!covers(at->second, read)) return false;
    }
    return true;
  };
  const auto note_writes = [&](std::size_t s) {
    for (std::size_t i = 0; i < blocks[s].out.size(); ++i) {
      const Step& step = steps[s];
      LaneExtents written;
      if (step.alone)
        written = all_on_the_first(step.out_info[i].size(), threads);
      else if (i == 0)
        written = extents(step.tasks, step.tasks.writes, threads, true);
      fresh.emplace_back(blocks[s].out[i], std::move(written));
    }
  };

  for (std::size_t s = 0; s < steps.size();) {
    std::size_t end = s;  // Of the steps from s on that run in lanes.
    if (any && shared(s))
      for (std::size_t next = s; next < steps.size() && (steps[next].alone || shared(next)); ++next)
        if (shared(next)) end = next + 1;
    if (end < s + 2) {
      steps[s].tasks = {};
      group[s++] = groups++;
      continue;
    }
    steps[s].in_lanes = end - s;
    fresh.clear();
    for (std::size_t first = s; s < end; ++s) {
      steps[s].waits = s > first && !keeps_to_itself(s);
      if (steps[s].waits) fresh.clear();
      if (s == first || steps[s].waits) ++groups;
      group[s] = groups - 1;
      note_writes(s);
    }
  }
  return group;
}

}  // namespace intact
