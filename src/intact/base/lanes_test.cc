#include "base/lanes.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <thread>
#include <vector>

namespace intact {
namespace {

// A row of cells a step; a cell is its neighbours' sum in the row before where the step waits, and
// what its own lane wrote there where it does not. Plain memory: a thread sanitizer sees a lane
// that begins too early.
struct Cells {
  static constexpr std::uint32_t kSteps = 60;
  std::size_t lanes;
  std::vector<std::uint64_t> cells = std::vector<std::uint64_t>((kSteps + 1) * lanes, 1);

  static bool waits(std::uint32_t step) { return step % 3 == 1; }

  void fill(std::uint32_t step, std::uint32_t lane) {
    const std::uint64_t* before = cells.data() + step * lanes;
    cells[(step + 1) * lanes + lane] =
        waits(step) ? before[lane] + before[(lane + 1) % lanes] + before[(lane + lanes - 1) % lanes]
                    : 3 * before[lane] + lane;
  }

  static std::vector<std::uint64_t> wanted(std::size_t lanes) {
    Cells one{lanes};
    for (std::uint32_t step = 0; step < kSteps; ++step)
      for (std::uint32_t lane = 0; lane < lanes; ++lane) one.fill(step, lane);
    return one.cells;
  }

  void run(const ThreadPool& pool, Lanes& by) {
    by.run(pool, kSteps, waits, [&](std::uint32_t s, std::uint32_t lane) { fill(s, lane); });
  }
};

TEST(Lanes, ForAnyNumberOfThreadsGiveWhatOneAfterTheOtherGives) {
  for (const std::size_t count : {1, 2, 3, 7})
    for (const int threads : {1, 2, 3, 8}) {
      ThreadPool pool(threads);
      pool.keep_workers();
      Lanes lanes(static_cast<int>(count));
      for (int again = 0; again < 200; ++again) {
        Cells cells{count};
        cells.run(pool, lanes);
        ASSERT_EQ(cells.cells, Cells::wanted(count)) << count << " lanes, " << threads;
      }
    }
}

TEST(Lanes, OfSeveralCallersDoNotWaitForEachOther) {
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      const ThreadPool pool(2);
      Lanes lanes(2);
      for (int again = 0; again < 200; ++again) {
        Cells cells{2};
        cells.run(pool, lanes);
        right += cells.cells == Cells::wanted(2) ? 1 : 0;
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 800);
}

// A task runs on its thread alone, and so does a region in it.
TEST(Lanes, WithinATaskRunOnThatThread) {
  const ThreadPool pool(2);
  std::atomic<int> right{0};
  pool.run(8, [&](std::size_t) {
    Lanes lanes(2);
    Cells cells{2};
    cells.run(pool, lanes);
    right += cells.cells == Cells::wanted(2) ? 1 : 0;
  });
  EXPECT_EQ(right, 8);
}

TEST(Lanes, RethrowAndLeaveOutWhatHasNotBegun) {
  const ThreadPool pool(2);
  Lanes lanes(2);
  std::atomic<int> later{0};
  const auto share = [&](std::uint32_t step, std::uint32_t lane) {
    if (step == 3 && lane == 1) throw std::runtime_error("no");
    if (step > 4) ++later;
  };
  for (int again = 0; again < 100; ++again)
    EXPECT_THROW(lanes.run(
                     pool, 20, [](std::uint32_t step) { return step == 4; }, share),
                 std::runtime_error);
  EXPECT_EQ(later, 0);
  Cells cells{2};
  cells.run(pool, lanes);
  EXPECT_EQ(cells.cells, Cells::wanted(2));
}

// As ThreadPool's: sanitizers refuse this.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST(Lanes, WorkInAForkedChild) {
  const ThreadPool pool(2);
  Lanes lanes(2);
  Cells before{2};
  before.run(pool, lanes);
  const pid_t child = fork();
  if (child == 0) {
    Cells cells{2};
    cells.run(pool, lanes);
    _exit(cells.cells == Cells::wanted(2) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}
#endif

}  // namespace
}  // namespace intact
