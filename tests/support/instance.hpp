// TestInstance: an instance of its own for one test: a control segment, a pool that is published, and the owner's lock, as
// peaknetd has them. All its shared memory is removed at the end, also what a killed child left, and also what tests
// that were killed themselves left earlier.
//
//   TestInstance instance({.geometry = small_frames(4), .full = FullPolicy::drop_oldest});
//   auto producer = instance.producer();
//   EXPECT_BALANCED(instance);
//
// Used by one thread of the process that made it; forked children use name() alone and attach for themselves. Children
// must be destroyed before it (declare them after it).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/must.hpp"
#include "shm/consumer.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/producer.hpp"

namespace peaknet::test {

// 64 x 48 pixels of uint16: small enough for thousands of pools.
inline shm::Geometry small_frames(std::uint32_t slots = 8) { return {slots, 1, 48, 64, PixelType::uint16}; }

class TestInstance {
 public:
  struct Options {
    shm::Geometry geometry = small_frames();
    shm::FullPolicy full = shm::FullPolicy::block;
    bool with_pool = true;
    shm::ColumnTable columns = {};
  };
  explicit TestInstance(const Options& options);
  TestInstance() : TestInstance(Options{}) {}
  TestInstance(const TestInstance&) = delete;
  TestInstance& operator=(const TestInstance&) = delete;
  ~TestInstance();

  // A name that no other test of this machine uses. For tests that start the programs themselves; remove_shared_memory
  // after.
  static std::string unique_name();

  const std::string& name() const { return name_; }
  shm::ControlSegment& control_segment() const { return *control_segment_; }
  shm::ControlLayout& layout() const { return control_segment_->layout(); }
  shm::Pool& pool() const { return *pool_; }
  shm::InstanceOwner& owner() { return *owner_; }

  // Make the pool of the next epoch and publish it as peaknetd does; the one before is retired and its sleepers are
  // woken.
  void next_epoch(const shm::Geometry& geometry, shm::FullPolicy full = shm::FullPolicy::block,
                  const shm::ColumnTable& columns = {});
  // The daemon is gone (its lock too), the shared memory stays.
  void drop_owner() { owner_.reset(); }
  // The daemon is back.
  void take_owner();

  // Clients of this process. A failure to attach throws (the test fails with its text).
  std::unique_ptr<shm::Producer> producer(std::optional<shm::FullPolicy> full = std::nullopt) const;
  std::unique_ptr<shm::Consumer> consumer(shm::Queue queue) const;

  shm::FrameAccounting accounting() const { return shm::read_accounting(*control_segment_, pool_.get()); }
  std::uint64_t total(shm::Counter counter) const { return accounting().total(counter); }
  std::uint32_t slots_in(shm::SlotState state) const { return pool_->count_states()[static_cast<std::size_t>(state)]; }

 private:
  std::string name_;
  pid_t made_by_;
  std::optional<shm::InstanceOwner> owner_;
  std::shared_ptr<shm::ControlSegment> control_segment_;
  std::shared_ptr<shm::Pool> pool_;
};

// Objects of an instance in /dev/shm by file name, sorted; leftovers under temporary names included.
std::vector<std::string> shared_memory_of(const std::string& instance);
void remove_shared_memory(const std::string& instance);

using peaknet::must;

// "" if the counters have settled and balance, else what they say; for EXPECT_EQ(unbalanced(counters), "").
std::string unbalanced(const shm::FrameAccounting& accounting);
#define EXPECT_BALANCED(instance) EXPECT_EQ(::peaknet::test::unbalanced((instance).accounting()), "")
#define ASSERT_BALANCED(instance) ASSERT_EQ(::peaknet::test::unbalanced((instance).accounting()), "")

}  // namespace peaknet::test
