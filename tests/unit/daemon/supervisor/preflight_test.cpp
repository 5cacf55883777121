#include "daemon/supervisor/preflight.hpp"

#include <gtest/gtest.h>

namespace peaknet::supervisor {
namespace {

config::Config small() {
  config::Config config;
  config.pool.shape = {1, 64, 64};
  config.output.dir = "/tmp";
  return config;
}

TEST(StartCheck, a_run_with_a_writer_and_room_may_begin) { EXPECT_TRUE(check_start(small(), 1, false)); }

TEST(StartCheck, without_a_writer_it_must_be_said) {
  const auto refused = check_start(small(), 0, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "start.no-writer");
  EXPECT_TRUE(check_start(small(), 0, true));
}

TEST(StartCheck, without_room_for_one_file_it_is_refused_with_both_numbers) {
  config::Config config = small();
  config.output.dir = "/dev/shm";
  config.pool.shape = {64, 16384, 16384};
  config.output.events_per_file = 100'000;  // 3 PiB
  const auto refused = check_start(config, 1, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "start.no-space");
  EXPECT_NE(refused.error().what.find("/dev/shm has "), std::string::npos);
  config.output.images = config::Images::none;  // peaks alone need next to nothing
  EXPECT_TRUE(check_start(config, 1, false));
}

TEST(StartCheck, a_folder_that_is_not_there_is_the_writers_matter) {
  config::Config config = small();
  config.output.dir = "/no/such/folder";
  EXPECT_TRUE(check_start(config, 1, false));
}

}  // namespace
}  // namespace peaknet::supervisor
