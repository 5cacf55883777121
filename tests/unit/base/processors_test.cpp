#include "base/processors.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "tests/support/one_processor.hpp"
#include "tests/unit/base/control_group_files.hpp"

namespace peaknet {
namespace {

class Processors : public test::ControlGroupFiles {
 protected:
  std::optional<double> quota() const { return processor_quota(groups()); }
};

TEST_F(Processors, without_control_groups_there_is_no_quota) {
  EXPECT_EQ(quota(), std::nullopt);
  write("membership", "0::/user.slice");
  EXPECT_EQ(quota(), std::nullopt);
  write("mount/user.slice/cpu.max", "max 100000");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(Processors, a_quota_is_that_of_the_own_group_of_version_2) {
  write("membership", "0::/system.slice/peaknetd.service");
  write("mount/system.slice/peaknetd.service/cpu.max", "250000 100000");
  EXPECT_EQ(quota(), 2.5);
}

TEST_F(Processors, a_group_above_may_allow_less) {
  write("membership", "0::/system.slice/peaknetd.service");
  write("mount/system.slice/peaknetd.service/cpu.max", "800000 100000");
  write("mount/system.slice/cpu.max", "300000 100000");
  write("mount/cpu.max", "max 100000");
  EXPECT_EQ(quota(), 3.0);
}

TEST_F(Processors, a_quota_of_version_1_is_read_where_its_controllers_are_mounted) {
  write("membership", "7:memory:/pod\n4:cpu,cpuacct:/pod/peaknetd\n1:cpuset:/other");
  write("mount/cpu,cpuacct/pod/peaknetd/cpu.cfs_quota_us", "-1");
  write("mount/cpu,cpuacct/pod/peaknetd/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), std::nullopt);
  write("mount/cpu,cpuacct/pod/cpu.cfs_quota_us", "150000");
  write("mount/cpu,cpuacct/pod/cpu.cfs_period_us", "50000");
  EXPECT_EQ(quota(), 3.0);
}

TEST_F(Processors, a_path_of_the_host_that_the_container_does_not_see_is_its_root) {
  write("membership", "4:cpu:/docker/0123456789abcdef");
  write("mount/cpu/cpu.cfs_quota_us", "200000");
  write("mount/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(Processors, other_controllers_and_what_is_no_number_are_no_quota) {
  write("membership", "3:cpuset:/a\nnonsense\n0::relative\n0::/a");
  write("mount/a/cpu.max", "lots 100000");
  EXPECT_EQ(quota(), std::nullopt);
  write("mount/a/cpu.max", "100000 0");
  EXPECT_EQ(quota(), std::nullopt);
  write("mount/a/cpu.max", "100000");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(Processors, less_than_one_processor_is_one_thread) {
  write("membership", "0::/a");
  write("mount/a/cpu.max", "20000 100000");
  EXPECT_EQ(usable_processors(groups()), 1U);
}

TEST_F(Processors, a_thread_on_one_processor_has_one_whatever_the_machine_and_the_other_threads_have) {
  const unsigned before = usable_processors(groups());
  unsigned pinned = 0;
  std::thread([&] {
    test::stay_on_one_processor();
    pinned = usable_processors(groups());
  }).join();
  EXPECT_EQ(pinned, 1U);
  EXPECT_EQ(usable_processors(groups()), before);
}

}  // namespace
}  // namespace peaknet
