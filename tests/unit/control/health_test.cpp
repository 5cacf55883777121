#include "control/health.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "shm/clock.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using shm::Counter;
using shm::DaemonState;
using shm::Queue;
using test::must;
using test::small_frames;
using test::TestInstance;
using ::testing::HasSubstr;

constexpr std::int64_t kSecond = 1'000'000'000;

// An instance at work: a run, a ready device, a writer with room.
class HealthTest : public ::testing::Test {
 protected:
  HealthTest() {
    auto& layout = instance_.layout();
    layout.daemon.state.store(DaemonState::running);
    layout.daemon.heartbeat_ns.store(shm::monotonic_ns());
    layout.devices[0].name.store("cuda:0");
    layout.devices[0].state.store("ready");
    record().output_free_bytes.store(std::uint64_t{500} << 30);
  }

  shm::ParticipantRecord& record() { return writer_->participant().record(); }
  shm::DaemonRecord& daemon() { return instance_.layout().daemon; }
  Health judged(std::optional<bool> alive = true) {
    return judge(instance_.control_segment(), &instance_.pool(), alive, instance_.accounting());
  }
  // "failing health.no-writer", or "healthy", or how many reasons there are.
  std::string found(std::optional<bool> alive = true) {
    const Health health = judged(alive);
    if (health.reasons.empty()) return name(health.state);
    if (health.reasons.size() > 1) return std::to_string(health.reasons.size()) + " reasons";
    EXPECT_FALSE(health.reasons[0].error.remedy.empty());
    return std::string(name(health.state)) + " " + health.reasons[0].error.id;
  }
  void commit(int frames) {
    const auto producer = instance_.producer();
    for (int i = 0; i < frames; ++i) must(must(producer->claim(1s)).commit());
  }

  TestInstance instance_{{.geometry = small_frames(8)}};
  std::unique_ptr<shm::Consumer> writer_ = instance_.consumer(Queue::q2);
};

TEST_F(HealthTest, an_instance_at_work_is_healthy) {
  EXPECT_EQ(found(), "healthy");
  EXPECT_EQ(found(std::nullopt), "healthy") << "who may not ask whether a daemon lives does not call it dead";
  EXPECT_EQ(health_line(judged()), "healthy");
}

TEST_F(HealthTest, a_daemon_that_is_gone_failed_or_hangs_is_failing) {
  EXPECT_EQ(found(false), "failing health.absent");
  daemon().heartbeat_ns.store(shm::monotonic_ns() - 6 * kSecond);
  EXPECT_EQ(found(), "failing health.heartbeat");
  daemon().state.store(DaemonState::failed);
  daemon().failure.store("every device is lost");
  EXPECT_EQ(found(), "failing health.failed");
}

TEST_F(HealthTest, a_writer_that_holds_is_failing_and_says_why) {
  record().holding_since_ns.store(shm::realtime_ns() - 7 * kSecond);
  record().note.store("WAITING FOR DISK: no space left on the disk. Try: free space [output.disk-full]");
  EXPECT_EQ(found(), "failing health.writer-holds");
  EXPECT_THAT(judged().reasons[0].error.what, HasSubstr("no space left on the disk"));
  EXPECT_THAT(judged().reasons[0].error.remedy, HasSubstr("make room"));
  record().note.store("WAITING FOR DISK: Permission denied. Try: let the writer's user write [output.denied]");
  EXPECT_THAT(judged().reasons[0].error.remedy, testing::Not(HasSubstr("make room")));
}

TEST_F(HealthTest, a_writer_that_takes_nothing_and_says_nothing_is_failing) {
  commit(2);
  const auto devices = instance_.consumer(Queue::q1);
  auto taken = devices->take(2);
  for (auto& frame : taken.frames) must(frame.publish(shm::ResultStatus::mask));
  EXPECT_EQ(found(), "healthy") << "they have just come";
  instance_.pool().descriptor(1).done_ns = static_cast<std::uint64_t>(shm::monotonic_ns() - 11 * kSecond);
  EXPECT_EQ(found(), "failing health.writer-behind");
  EXPECT_THAT(judged().reasons[0].error.what, HasSubstr("for 11 s"));
  daemon().written_per_s.store(40);
  EXPECT_EQ(found(), "degraded health.writer-behind") << "it is slow";
  record().holding_since_ns.store(shm::realtime_ns());
  EXPECT_EQ(found(), "failing health.writer-holds") << "it says itself why";
}

TEST_F(HealthTest, a_run_without_a_writer_is_failing) {
  writer_.reset();
  EXPECT_EQ(found(), "failing health.no-writer");
  daemon().state.store(DaemonState::idle);
  EXPECT_EQ(found(), "healthy") << "nothing waits for a writer";
}

TEST_F(HealthTest, a_disk_is_judged_by_the_minutes_that_it_has_left) {
  daemon().file_bytes_per_s.store(1e9);  // 536 s
  EXPECT_EQ(found(), "degraded health.disk");
  EXPECT_THAT(judged().reasons[0].error.what, HasSubstr("enough for 8 minutes"));
  daemon().file_bytes_per_s.store(1e8);
  EXPECT_EQ(found(), "healthy");
  daemon().file_bytes_per_s.store(0);
  record().output_free_bytes.store(1 << 20);
  EXPECT_EQ(found(), "degraded health.disk") << "little is little at every rate";
  record().output_free_bytes.store(shm::kUnknownBytes);
  EXPECT_EQ(found(), "healthy") << "what is unknown is not called wrong";
}

TEST_F(HealthTest, a_full_pool_is_failing_after_two_seconds_and_names_the_stage) {
  commit(8);
  daemon().full_since_ns.store(shm::monotonic_ns() - kSecond);
  EXPECT_EQ(found(), "healthy");
  daemon().full_since_ns.store(shm::monotonic_ns() - 3 * kSecond);
  EXPECT_EQ(found(), "failing health.pool-full");
  EXPECT_THAT(judged().reasons[0].error.what, HasSubstr("the devices are the slowest"));
  const auto device = instance_.consumer(Queue::q1);
  for (auto& frame : device->take(8).frames) must(frame.publish(shm::ResultStatus::mask));
  EXPECT_THAT(judged().reasons[0].error.what, HasSubstr("the writer is the slowest"));
}

TEST_F(HealthTest, a_pool_that_is_full_without_a_run_is_no_fault_of_a_device) {
  commit(8);
  daemon().full_since_ns.store(shm::monotonic_ns() - 3 * kSecond);
  daemon().state.store(DaemonState::idle);
  const auto health = judged();
  EXPECT_EQ(health.reasons[0].error.id, "health.pool-full");
  EXPECT_THAT(health.reasons[0].error.what, HasSubstr("none is active"));
  EXPECT_EQ(health.reasons[0].error.remedy, "peaknetctl start");
}

TEST_F(HealthTest, who_waits_for_a_slot_is_told_what_keeps_the_pool_full) {
  commit(8);
  const auto why = [&](std::optional<bool> alive) {
    const auto accounting = shm::read_accounting(instance_.control_segment(), &instance_.pool());
    return why_full(instance_.control_segment(), &instance_.pool(), alive, accounting);
  };
  EXPECT_EQ(why(true).id, "health.pool-full");
  EXPECT_EQ(why(false).id, "health.absent");
  daemon().state.store(DaemonState::idle);
  EXPECT_EQ(why(true).id, "health.frames-wait");
  EXPECT_EQ(why(true).remedy, "peaknetctl start");
}

TEST_F(HealthTest, frames_that_wait_for_a_run_are_named_with_the_command) {
  commit(2);
  EXPECT_EQ(found(), "healthy");
  daemon().state.store(DaemonState::idle);
  EXPECT_EQ(found(), "degraded health.frames-wait");
  EXPECT_EQ(judged().reasons[0].error.remedy, "peaknetctl start");
}

TEST_F(HealthTest, what_was_lost_or_refused_since_the_run_began_is_degraded) {
  const auto with = [&](Counter counter) {
    auto& value = record().counters[static_cast<std::size_t>(counter)];
    value.fetch_add(1);
    if (counter != Counter::refused_full && counter != Counter::messages_lost)
      record().counters[static_cast<std::size_t>(Counter::committed)].fetch_add(1);  // it was one
    const std::string what = found();
    for (std::size_t i = 0; i < shm::kCounters; ++i)  // a new run begins
      instance_.layout().run.base[i].store(record().counters[i].load());
    EXPECT_EQ(found(), "healthy");
    return what;
  };
  EXPECT_EQ(with(Counter::dropped_oldest), "degraded health.dropped");
  EXPECT_EQ(with(Counter::failed_model), "degraded health.failed-frames");
  EXPECT_EQ(with(Counter::refused_full), "degraded health.refused");
  EXPECT_EQ(with(Counter::messages_lost), "degraded health.messages-lost");
}

TEST_F(HealthTest, a_lost_device_shedding_and_broken_books_are_named) {
  instance_.layout().devices[0].state.store("lost");
  EXPECT_EQ(found(), "degraded health.device-lost");
  instance_.layout().devices[0].state.store("ready");
  instance_.layout().shedding.level.store(1);
  EXPECT_EQ(found(), "degraded health.shedding");
  instance_.layout().shedding.level.store(0);
  record().counters[static_cast<std::size_t>(Counter::committed)].fetch_add(1);
  EXPECT_EQ(found(), "failing health.imbalance");
}

TEST_F(HealthTest, an_error_is_named_for_five_minutes) {
  writer_->participant().record_error({"frame.odd", "an odd thing", "", ""});
  EXPECT_EQ(found(), "degraded health.errors");
  for (auto& error : record().errors) error.last_ns.store(shm::realtime_ns() - 301 * kSecond);
  EXPECT_EQ(found(), "healthy");
}

TEST_F(HealthTest, the_worst_comes_first) {
  writer_->participant().record_error({"frame.odd", "an odd thing", "", ""});
  record().holding_since_ns.store(shm::realtime_ns());
  const Health health = judged();
  ASSERT_EQ(health.reasons.size(), 2U);
  EXPECT_EQ(health.reasons[0].error.id, "health.writer-holds");
  EXPECT_EQ(health.state, HealthState::failing);
  EXPECT_THAT(health_line(health), HasSubstr("(+1)"));
  const auto part = health_part(health);
  EXPECT_EQ(part["state"], "failing");
  EXPECT_EQ(part["reasons"][1]["id"], "health.errors");
}

}  // namespace
}  // namespace peaknet::control
