#include "base/cpu_budget.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace intact {
namespace {

// Returns the first line of a file, or "" when there is none.
std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

std::string cpu_folder(const std::string& root, int cpu) {
  return root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
}

int physical_cores(const std::string& root) {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0)
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(static_cast<std::size_t>(cpu), &mask)) continue;
    // Siblings share this line. Without one a CPU is a core.
    const std::string siblings =
        first_line(cpu_folder(root, cpu) + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? "cpu" + std::to_string(cpu) : siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

// Returns the quota that "<limit> <period>" in microseconds means, in CPUs, or 0 for none.
int cpus_of(const std::string& text) {
  std::istringstream words(text);
  double limit = 0;
  double period = 0;
  if (!(words >> limit >> period) || limit <= 0 || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(limit / period)));
}

// The quota holds for a group and all within it, so the least one from our group up counts.
// /proc/self/cgroup names our group in each hierarchy: "0::/a/b" (version 2), "4:cpu,cpuacct:/a/b".
int group_quota(const std::string& root) {
  int least = 0;
  const auto consider = [&](int cpus) {
    if (cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
  };
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool version_2 = controllers == ",,";
    if (!version_2 && controllers.find(",cpu,") == std::string::npos) continue;
    for (std::string group = line.substr(second + 1);; group.resize(group.rfind('/'))) {
      while (!group.empty() && group.back() == '/') group.pop_back();
      if (version_2) {
        consider(cpus_of(first_line(root + "/sys/fs/cgroup" + group + "/cpu.max")));
      } else {
        const std::string folder = root + "/sys/fs/cgroup/cpu" + group;
        consider(cpus_of(first_line(folder + "/cpu.cfs_quota_us") + " " +
                         first_line(folder + "/cpu.cfs_period_us")));
      }
      if (group.empty()) break;
    }
  }
  return least;
}

}  // namespace

CpuBudget cpu_budget(const std::string& root) {
  CpuBudget budget;
  budget.cores = budget.threads = physical_cores(root);
  budget.decided_by = "cores";
  budget.quota = group_quota(root);
  const auto limit = [&](int threads, const char* why) {
    if (threads <= 0 || threads >= budget.threads) return;
    budget.threads = threads;
    budget.decided_by = why;
  };
  limit(budget.quota, "CPU quota");
  for (const char* name : {"INTACT_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || std::atoi(value) <= 0) continue;
    budget.asked = std::atoi(value);
    limit(budget.asked, name);
    break;
  }
  return budget;
}

int default_threads() { return cpu_budget().threads; }

std::vector<std::size_t> core_capacities(const std::string& root) {
  std::vector<std::size_t> capacities;
  for (int cpu = 0;; ++cpu) {
    const std::string line = first_line(cpu_folder(root, cpu) + "/cpu_capacity");
    if (line.empty()) return capacities;
    capacities.push_back(std::strtoul(line.c_str(), nullptr, 10));
  }
}

}  // namespace intact
