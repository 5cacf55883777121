#include "daemon/supervisor/pool_manager.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fatal.hpp"
#include "shm/control_segment.hpp"
#include "shm/producer.hpp"

namespace peaknet::supervisor {
namespace {

config::Config small() {
  config::Config config;
  config.instance = "test-keeper-" + std::to_string(::getpid());
  config.pool.slots = 4;
  config.pool.shape = {1, 16, 16};
  return config;
}

// A daemon is alive for others from the moment that it has the instance's lock: long before its model is warm.
TEST(PoolManager, the_state_of_a_dead_daemon_is_not_shown_as_that_of_the_next) {
  const config::Config config = small();
  Result<std::unique_ptr<shm::Producer>> stays = Error{};
  {
    PoolManager first(config);
    EXPECT_EQ(first.state_found(), shm::DaemonState::absent);
    first.layout().daemon.state.store(shm::DaemonState::running);
    stays = shm::Producer::attach(config.instance);  // so that the memory does
    ASSERT_TRUE(stays) << stays.error().text();
  }
  PoolManager next(config);
  EXPECT_TRUE(next.adopted());
  EXPECT_EQ(next.layout().daemon.state.load(), shm::DaemonState::starting);
  EXPECT_EQ(next.state_found(), shm::DaemonState::running);
  stays->reset();
}

TEST(PoolManager, a_start_that_is_refused_leaves_the_state_as_it_was) {
  config::Config config = small();
  {
    PoolManager first(config);
    first.layout().daemon.state.store(shm::DaemonState::idle);
    auto producer = shm::Producer::attach(config.instance);
    ASSERT_TRUE(producer) << producer.error().text();
    auto frame = (*producer)->claim(std::chrono::seconds(1));
    ASSERT_TRUE(frame) << frame.error().text();
    ASSERT_TRUE(frame->commit());
  }
  config.pool.shape = {1, 32, 32};
  EXPECT_THROW(PoolManager{config}, Fatal);  // frames are in the pool
  const auto page = shm::ControlSegment::open(config.instance, shm::Access::read_only);
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ((*page)->layout().daemon.state.load(), shm::DaemonState::idle);
  shm::remove_objects(config.instance);
}

}  // namespace
}  // namespace peaknet::supervisor
