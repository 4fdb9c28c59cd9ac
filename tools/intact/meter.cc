#include "meter.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace intact::cli {
namespace {

// The number in a file of one number; negative when it cannot be read.
double number_in(const std::string& path) {
  std::ifstream file(path);
  double value = -1;
  file >> value;
  return file ? value : -1;
}

}  // namespace

double wall_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

EnergyMeter::EnergyMeter() {
  namespace fs = std::filesystem;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/sys/class/powercap", none)) {
    // Packages are intel-rapl:0, :1, ... (AMD's too); their parts have a second colon.
    const std::string name = entry.path().filename();
    const auto colon = name.find(':');
    if (colon == std::string::npos || name.find(':', colon + 1) != std::string::npos) continue;
    const std::string path = entry.path() / "energy_uj";
    const double now = number_in(path), range = number_in(entry.path() / "max_energy_range_uj");
    if (now >= 0 && range > 0) counters_.push_back({path, range, now, 0});
  }
}

double EnergyMeter::joules() {
  double sum = 0;
  for (Counter& c : counters_) {
    const double now = number_in(c.path);
    c.sum += now >= c.last ? now - c.last : now + c.range - c.last;
    c.last = now;
    sum += c.sum;
  }
  return 1e-6 * sum;
}

}  // namespace intact::cli
