#include "daemon/engine/cpu_list.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace peaknet::engine {
namespace {

using Cpus = std::vector<unsigned>;

std::vector<unsigned> where_we_may_run() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

TEST(CpuList, reads_what_the_kernel_writes) {
  EXPECT_EQ(parse_cpu_list("0").value(), (Cpus{0}));
  EXPECT_EQ(parse_cpu_list("0-3").value(), (Cpus{0, 1, 2, 3}));
  EXPECT_EQ(parse_cpu_list("8,0-2,1").value(), (Cpus{0, 1, 2, 8}));
}

TEST(CpuList, refuses_what_is_none) {
  for (const char* text :
       {"", "a", "1-", "-1", "3-1", "1,", ",1", "1--2", "1 2", "1024", "99999999999", "nodeX", "node", "node9999"}) {
    const auto cpus = find_cpus(text);
    ASSERT_FALSE(cpus.ok()) << text;
    EXPECT_EQ(cpus.error().id, "device.bad-cpus");
  }
}

TEST(CpuList, a_thread_and_those_it_starts_stay_where_they_are_told) {
  const unsigned last = where_we_may_run().back();
  std::thread([&] {
    ASSERT_TRUE(stay_on({last}).ok());
    EXPECT_EQ(where_we_may_run(), (Cpus{last}));
    std::thread([&] { EXPECT_EQ(where_we_may_run(), (Cpus{last})); }).join();
  }).join();
  EXPECT_GE(where_we_may_run().size(), 1U);
}

TEST(CpuList, processors_that_are_not_there_are_refused) {
  std::thread([] {
    const auto stays = stay_on({1023});
    ASSERT_FALSE(stays.ok());
    EXPECT_EQ(stays.error().id, "device.bad-cpus");
  }).join();
}

TEST(CpuList, the_processors_of_a_node_are_some_of_this_machine) {
  const auto cpus = find_cpus("node0");
  if (!cpus) GTEST_SKIP() << "no NUMA nodes in /sys: " << cpus.error().text();
  EXPECT_FALSE(cpus->empty());
}

}  // namespace
}  // namespace peaknet::engine
