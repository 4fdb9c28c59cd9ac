#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/check.h"

namespace intact {
namespace {

// How many threads this process has.
std::size_t thread_count() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

// Whether 37 tasks on `pool` run once each.
bool runs_every_task_once(const ThreadPool& pool) {
  std::vector<int> hits(37, 0);
  pool.run(hits.size(), [&](std::size_t i) { ++hits[i]; });
  return std::all_of(hits.begin(), hits.end(), [](int n) { return n == 1; });
}

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const int threads : {1, 2, 5, 64, 1000}) {
    const ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) EXPECT_TRUE(runs_every_task_once(pool));
    pool.run(0, [](std::size_t) { FAIL(); });
  }
}

TEST(ThreadPool, NumbersItsThreads) {
  const ThreadPool pool(3);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::atomic<int>> inside(3);
    pool.run(50, [&](std::size_t) {
      const std::size_t me = ThreadPool::worker();
      ASSERT_LT(me, 3U);
      EXPECT_EQ(inside[me].fetch_add(1), 0);
      inside[me].fetch_sub(1);
    });
  }
  EXPECT_EQ(ThreadPool::worker(), 0U);
}

TEST(ThreadPool, TwoThreadsWorkTogether) {
  const ThreadPool pool(2);
  std::atomic<int> here{0};
  // Each task waits for the other: on one thread this would not end.
  pool.run(2, [&](std::size_t) {
    ++here;
    while (here < 2) std::this_thread::yield();
  });
}

TEST(ThreadPool, AShareStaysWithItsThread) {
  ThreadPool pool(2);
  pool.keep_workers();
  std::array<std::thread::id, 2> first;
  for (int round = 0; round < 100; ++round) {
    std::array<std::thread::id, 2> now;
    std::atomic<int> here{0};
    pool.run(2, [&](std::size_t i) {
      EXPECT_EQ(ThreadPool::worker(), i);
      now[i] = std::this_thread::get_id();
      ++here;
      while (here < 2) std::this_thread::yield();
    });
    if (round == 0) first = now;
    EXPECT_EQ(now, first);
    EXPECT_EQ(now[0], std::this_thread::get_id());
  }
}

TEST(ThreadPool, WhoIsDoneTakesFromOthers) {
  const ThreadPool pool(2);
  // Shares of 8, the first half of which is taken at once: who comes first holds that up until the
  // other thread has done its own share and the rest of this one.
  std::atomic<int> done{0};
  std::atomic<bool> held{false};
  pool.run(16, [&](std::size_t i) {
    if (i % 8 == 0 && !held.exchange(true))
      while (done < 12) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, 16);
}

TEST(ThreadPool, KeptWorkersReturn) {
  {
    ThreadPool first(3);
    first.keep_workers();
    EXPECT_TRUE(runs_every_task_once(first));
    // All workers are kept: others work alone meanwhile.
    std::thread([] { EXPECT_TRUE(runs_every_task_once(ThreadPool(3))); }).join();
    EXPECT_TRUE(runs_every_task_once(first));
  }
  std::atomic<int> here{0};
  ThreadPool(2).run(2, [&](std::size_t) {
    ++here;
    while (here < 2) std::this_thread::yield();
  });
}

TEST(ThreadPool, RethrowsAndStaysUsable) {
  const ThreadPool pool(2);
  EXPECT_THROW(pool.run(8, [](std::size_t) { throw InternalError("x"); }), InternalError);
  EXPECT_TRUE(runs_every_task_once(pool));
}

TEST(ThreadPool, NestedRegionsRunOnTheirThread) {
  const ThreadPool pool(2);
  std::atomic<int> tasks{0};
  pool.run(4, [&](std::size_t) {
    const auto me = std::this_thread::get_id();
    pool.run(8, [&](std::size_t) {
      EXPECT_EQ(std::this_thread::get_id(), me);
      EXPECT_EQ(ThreadPool::worker(), 0U);
      ++tasks;
    });
  });
  EXPECT_EQ(tasks, 32);
}

TEST(ThreadPool, PoolsShareOneCrew) {
  const ThreadPool large(6);
  large.run(6, [](std::size_t) {});
  const std::size_t before = thread_count();
  for (const int threads : {2, 3, 4, 6})
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(runs_every_task_once(ThreadPool(threads)));
  EXPECT_EQ(thread_count(), before);
}

TEST(ThreadPool, ConcurrentCallersDoNotBlockEachOther) {
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&, c] {
      const ThreadPool pool(2 + c % 3);
      for (int round = 0; round < 300; ++round) wrong += runs_every_task_once(pool) ? 0 : 1;
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);

  // A caller inside a region does not keep another from finishing one.
  const ThreadPool pool(3);
  std::atomic<bool> finished{false};
  std::thread other;
  pool.run(3, [&](std::size_t i) {
    if (i == 0)
      other = std::thread([&] {
        EXPECT_TRUE(runs_every_task_once(pool));
        finished = true;
      });
    while (!finished) std::this_thread::yield();
  });
  other.join();
}

TEST(ThreadPool, SleepsWhenIdle) {
  const ThreadPool pool(4);
  EXPECT_TRUE(runs_every_task_once(pool));
  const auto cpu_us = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto before = cpu_us();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu_us() - before, 3000);  // 1 %, with the sanitizers' own threads.
}

TEST(ThreadPool, WakesAfterSleep) {
  const ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(runs_every_task_once(pool));
  }
}

TEST(ThreadPool, WorkersRoundToNearest) {
  const ThreadPool pool(2);
  std::atomic<int> here{0};
  pool.run(2, [&](std::size_t) {
    ++here;
    while (here < 2) std::this_thread::yield();
    volatile double one = 1.0;
    EXPECT_EQ(one + 0x1p-60, 1.0);
  });
}

// ThreadSanitizer refuses threads in a child of a process with threads; in AddressSanitizer's
// allocator a lock that another thread held at the fork stays locked in the child.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST(ThreadPool, AForkedChildHasItsOwnWorkers) {
  const ThreadPool pool(3);
  EXPECT_TRUE(runs_every_task_once(pool));
  ThreadPool keeping(2);
  keeping.keep_workers();
  EXPECT_TRUE(runs_every_task_once(keeping));
  // Another thread is in the middle of regions when the fork happens.
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) EXPECT_TRUE(runs_every_task_once(pool));
  });
  for (int round = 0; round < 10; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      for (const ThreadPool* each : {&pool, static_cast<const ThreadPool*>(&keeping)}) {
        std::atomic<int> here{0};
        each->run(2, [&](std::size_t) {
          ++here;
          while (here < 2) std::this_thread::yield();
        });
      }
      _exit(runs_every_task_once(pool) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_TRUE(runs_every_task_once(pool));
  }
  stop = true;
  busy.join();
}

// Forks on member `number` of a region of two, runs `in_child` there within the task, and returns
// from it. Returns how the child ended.
template <class InChild>
int status_of_fork_in_task(std::size_t number, const InChild& in_child) {
  const ThreadPool pool(2);
  std::atomic<int> here{0};
  pid_t child = -1;
  try {
    pool.run(2, [&](std::size_t) {
      ++here;
      while (here < 2) std::this_thread::yield();
      if (ThreadPool::worker() != number) return;
      child = fork();
      if (child != 0) return;
      alarm(20);
      in_child();
    });
  } catch (const InternalError&) {
    _exit(child == 0 && runs_every_task_once(pool) ? 7 : 1);
  }
  if (child == 0) _exit(2);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(runs_every_task_once(pool));
  return status;
}

TEST(ThreadPool, AChildThatATaskForkedHasItsOwnWorkers) {
  const auto run_together = [] {
    std::atomic<int> here{0};
    ThreadPool(3).run(3, [&](std::size_t) {
      ++here;
      while (here < 3) std::this_thread::yield();
    });
  };
  for (const std::size_t number : {0, 1}) {
    const int ended = status_of_fork_in_task(number, [&] {
      for (int i = 0; i < 20; ++i) run_together();
      _exit(5);
    });
    EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 5) << number << ' ' << ended;
  }
  const auto nothing = [] {};
  const int on_caller = status_of_fork_in_task(0, nothing);
  EXPECT_TRUE(WIFEXITED(on_caller) && WEXITSTATUS(on_caller) == 7) << on_caller;
  const int on_worker = status_of_fork_in_task(1, nothing);
  EXPECT_TRUE(WIFSIGNALED(on_worker) && WTERMSIG(on_worker) == SIGABRT) << on_worker;
}
#endif

}  // namespace
}  // namespace intact
