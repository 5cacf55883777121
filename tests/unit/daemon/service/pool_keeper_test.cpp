#include "daemon/service/pool_keeper.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "shm/producer.hpp"

namespace peaknet::service {
namespace {

// A daemon is alive for others from the moment that it has the instance's lock: long before its model is warm.
TEST(PoolKeeper, the_state_of_a_dead_daemon_is_not_shown_as_that_of_the_next) {
  config::Config config;
  config.instance = "test-keeper-" + std::to_string(::getpid());
  config.pool.slots = 4;
  config.pool.shape = {1, 16, 16};
  Result<std::unique_ptr<shm::Producer>> stays = Error{};
  {
    PoolKeeper first(config);
    EXPECT_EQ(first.state_found(), shm::DaemonState::absent);
    first.layout().daemon.state.store(shm::DaemonState::running);
    stays = shm::Producer::attach(config.instance);  // so that the memory does
    ASSERT_TRUE(stays) << stays.error().text();
  }
  PoolKeeper next(config);
  EXPECT_TRUE(next.adopted());
  EXPECT_EQ(next.layout().daemon.state.load(), shm::DaemonState::starting);
  EXPECT_EQ(next.state_found(), shm::DaemonState::running);
  stays->reset();
}

}  // namespace
}  // namespace peaknet::service
