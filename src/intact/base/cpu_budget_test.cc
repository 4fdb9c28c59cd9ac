#include "base/cpu_budget.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace intact {
namespace {

// A made-up /sys and /proc.
class CpuBudgetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"INTACT_NUM_THREADS", "OMP_NUM_THREADS"}) unsetenv(name);
    root_ = testing::TempDir() + "cpu_budget_" + std::to_string(getpid());
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &mask)) allowed_.push_back(cpu);
  }
  void TearDown() override {
    std::filesystem::remove_all(root_);
    for (const char* name : {"INTACT_NUM_THREADS", "OMP_NUM_THREADS"}) unsetenv(name);
  }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text << '\n';
  }
  // Every CPU of the mask shares its core with `siblings - 1` others of it.
  void cores_of(std::size_t siblings) const {
    for (std::size_t i = 0; i < allowed_.size(); ++i)
      write("/sys/devices/system/cpu/cpu" + std::to_string(allowed_[i]) +
                "/topology/thread_siblings_list",
            std::to_string(i / siblings));
  }
  [[nodiscard]] int cpus() const { return static_cast<int>(allowed_.size()); }

  std::string root_;
  std::vector<int> allowed_;
};

TEST_F(CpuBudgetTest, CountsSiblingsOnce) {
  cores_of(2);
  EXPECT_EQ(cpu_budget(root_).cores, (cpus() + 1) / 2);
  cores_of(1);
  EXPECT_EQ(cpu_budget(root_).cores, cpus());
  EXPECT_EQ(cpu_budget(root_).decided_by, "cores");
}

TEST_F(CpuBudgetTest, CountsCpusWithoutTopology) { EXPECT_EQ(cpu_budget(root_).cores, cpus()); }

TEST_F(CpuBudgetTest, TakesTheLeastQuotaOnTheWayUp) {
  write("/proc/self/cgroup", "0::/outer/inner");
  write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000");
  EXPECT_EQ(cpu_budget(root_).quota, 0);
  write("/sys/fs/cgroup/outer/cpu.max", "150000 100000");
  EXPECT_EQ(cpu_budget(root_).quota, 2);
  write("/sys/fs/cgroup/cpu.max", "50000 100000");
  EXPECT_EQ(cpu_budget(root_).quota, 1);
  EXPECT_EQ(cpu_budget(root_).threads, 1);
}

TEST_F(CpuBudgetTest, ReadsQuotasOfTheFirstHierarchy) {
  write("/proc/self/cgroup", "9:memory:/job\n4:cpu,cpuacct:/job");
  write("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000");
  write("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(cpu_budget(root_).quota, 0);
  write("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "250000");
  EXPECT_EQ(cpu_budget(root_).quota, 3);
}

TEST_F(CpuBudgetTest, TheEnvironmentLowersButDoesNotRaise) {
  setenv("OMP_NUM_THREADS", "1", 1);
  EXPECT_EQ(cpu_budget(root_).threads, 1);
  setenv("INTACT_NUM_THREADS", "1000", 1);
  EXPECT_EQ(cpu_budget(root_).asked, 1000);
  EXPECT_EQ(cpu_budget(root_).threads, cpus());
}

TEST_F(CpuBudgetTest, ReadsCapacitiesWhereCoresDiffer) {
  EXPECT_TRUE(core_capacities(root_).empty());
  write("/sys/devices/system/cpu/cpu0/cpu_capacity", "446");
  write("/sys/devices/system/cpu/cpu1/cpu_capacity", "1024");
  EXPECT_EQ(core_capacities(root_), (std::vector<std::size_t>{446, 1024}));
}

}  // namespace
}  // namespace intact
