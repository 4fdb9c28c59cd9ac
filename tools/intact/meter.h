// meter.h: what a run costs besides time: CPU time, energy, memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace intact::cli {

double wall_ms();

// User and system time of all threads of this process.
double cpu_ms();

// Resident memory of this process now, and the most it ever was.
std::int64_t resident_bytes();
std::int64_t peak_resident_bytes();

// Energy counters of the processor packages (Linux powercap). They count the whole machine, not
// this process, and move once a millisecond: take differences over many runs.
class EnergyMeter {
 public:
  EnergyMeter();
  [[nodiscard]] bool available() const { return !counters_.empty(); }
  // Joules since an arbitrary moment, corrected for counters that wrapped since the last call.
  double joules();

 private:
  struct Counter {
    std::string path;
    double range, last, sum;  // Microjoules.
  };
  std::vector<Counter> counters_;
};

}  // namespace intact::cli
