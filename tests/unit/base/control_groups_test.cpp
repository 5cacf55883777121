#include "base/control_groups.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/unit/base/control_group_files.hpp"

namespace peaknet {
namespace {

class Groups : public test::ControlGroupFiles {};

TEST_F(Groups, without_control_groups_there_is_no_limit) {
  EXPECT_FALSE(memory_limit(groups()));
  EXPECT_FALSE(task_limit(groups()));
}

TEST_F(Groups, of_version_2_the_least_of_the_own_group_and_those_above_counts) {
  write("membership", "0::/slurm/job7/step0");
  write("mount/slurm/job7/step0/memory.max", "max");
  write("mount/slurm/job7/memory.max", "209715200");
  write("mount/slurm/memory.max", "1073741824");
  write("mount/slurm/job7/step0/pids.max", "40");
  const auto memory = memory_limit(groups());
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->value, 209715200U);
  EXPECT_EQ(memory->file, at("mount/slurm/job7/memory.max"));
  ASSERT_TRUE(task_limit(groups()));
  EXPECT_EQ(task_limit(groups())->value, 40U);
}

TEST_F(Groups, of_version_1_the_controllers_own_hierarchy_counts) {
  write("membership", "7:memory:/docker/abc\n4:pids:/other\n2:cpu,cpuacct:/docker/abc");
  write("mount/memory/docker/abc/memory.limit_in_bytes", "524288000");
  write("mount/memory/memory.limit_in_bytes", "9223372036854771712");
  write("mount/pids/other/pids.max", "max");
  ASSERT_TRUE(memory_limit(groups()));
  EXPECT_EQ(memory_limit(groups())->value, 524288000U);
  EXPECT_FALSE(task_limit(groups()));
}

TEST_F(Groups, memory_in_use_is_that_of_processes_and_what_they_share_but_no_cache) {
  write("membership", "0::/job/step");
  write("mount/job/step/memory.max", "1000000");
  write("mount/job/step/memory.stat", "anon 1000\nfile 700000\nkernel 5\nshmem 2000\nfile_mapped 3");
  write("mount/job/memory.max", "1500000");
  write("mount/job/memory.stat", "anon 900000\nfile 0\nshmem 2000");
  const auto memory = group_memory(groups());
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->limit.file, at("mount/job/memory.max")) << "the one with the least left";
  EXPECT_EQ(memory->used, 902000U);
  EXPECT_EQ(memory->left(), 598000U);
}

TEST_F(Groups, memory_of_version_1_counts_the_groups_below) {
  write("membership", "7:memory:/job");
  write("mount/memory/job/memory.limit_in_bytes", "1000000");
  write("mount/memory/job/memory.stat", "cache 5\nrss 1\nshmem 1\ntotal_cache 9\ntotal_rss 300000\ntotal_shmem 900000");
  ASSERT_TRUE(group_memory(groups()));
  EXPECT_EQ(group_memory(groups())->left(), 0U);
}

TEST_F(Groups, no_limit_of_version_1_is_no_number) {
  write("membership", "7:memory:/");
  write("mount/memory/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_FALSE(memory_limit(groups()));
}

TEST_F(Groups, a_group_beside_the_namespace_is_found_in_the_hosts_mount_if_this_process_is_in_it) {
  write("membership", "4:memory:/../../job");
  write("mount/memory/job/memory.limit_in_bytes", "209715200");
  write("mount/memory/job/cgroup.procs", "1\n" + std::to_string(::getpid()) + "\n");
  ASSERT_TRUE(memory_limit(groups()));
  EXPECT_EQ(memory_limit(groups())->value, 209715200U);
  write("mount/memory/job/cgroup.procs", "1\n");
  EXPECT_FALSE(memory_limit(groups())) << "another group of that name";
}

TEST_F(Groups, a_container_that_shows_the_hosts_path_has_its_limit_at_the_root) {
  write("membership", "0::/kubepods/pod1");
  write("mount/memory.max", "67108864");
  ASSERT_TRUE(memory_limit(groups()));
  EXPECT_EQ(memory_limit(groups())->value, 67108864U);
}

}  // namespace
}  // namespace peaknet
