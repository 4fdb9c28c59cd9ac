// cpu_budget.h: how many threads this process should use, and what decides it.
//
// More threads than cores that may really run at once cost time instead of saving it, so the
// default is the least of what the machine, its administrator and the user's environment allow.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace intact {

struct CpuBudget {
  int cores = 1;           // Physical cores in the affinity mask; SMT siblings count once.
  int quota = 0;           // The least CPU quota of the control group and its parents, rounded up;
                           // 0: none.
  int asked = 0;           // INTACT_NUM_THREADS or else OMP_NUM_THREADS; 0: neither is set.
  int threads = 1;         // The least of the above.
  std::string decided_by;  // "cores", "CPU quota", or the variable's name.
};

// Reads the budget of this process now. `root` stands before /sys and /proc, for tests.
CpuBudget cpu_budget(const std::string& root = "");

// Returns cpu_budget().threads.
int default_threads();

// Returns the capacity of each CPU, by number, as Linux tells it where cores differ (ARM); empty
// where it does not.
std::vector<std::size_t> core_capacities(const std::string& root = "");

}  // namespace intact
