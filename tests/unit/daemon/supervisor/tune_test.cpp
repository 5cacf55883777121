#include "daemon/supervisor/tune.hpp"

#include <gtest/gtest.h>

#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "daemon/device/host_device.hpp"
#include "daemon/supervisor/tune_slots.hpp"
#include "tests/support/standstill.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::supervisor {
namespace {

using test::Standstill;

// A place where two devices meet in a run. Where one is measured after the other they do not, and after a time each
// goes on alone.
class Meeting {
 public:
  void call() {
    const std::lock_guard hold(mutex_);
    called_ = true;
    arrived_ = 0;
  }
  void come() {
    std::unique_lock hold(mutex_);
    if (!called_) return;
    if (++arrived_ == 2) called_ = false;
    met_ += called_ ? 0 : 1;
    changed_.notify_all();
    changed_.wait_for(hold, std::chrono::seconds(10), [&] { return !called_; });
  }
  int met() {
    const std::lock_guard hold(mutex_);
    return met_;
  }

 private:
  std::mutex mutex_;  // the rest
  std::condition_variable changed_;
  bool called_ = false;
  int arrived_ = 0, met_ = 0;
};

// What the models of a test do in each run.
struct Runs {
  std::atomic<int> inside{0};
  std::atomic<bool> at_once{false};  // two devices were in a run at the same time
  std::atomic<int> count{0};
  int hangs_at = 0;  // the run that stands still; 0: none
  Standstill still;
  Meeting meeting;
};

class CountedModel final : public model::Model {
 public:
  explicit CountedModel(std::shared_ptr<Runs> runs) : runs_(std::move(runs)) {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void* /*stream*/,
             const std::function<void(const kernels::TensorView&)>& use) override {
    if (runs_->inside.fetch_add(1) > 0) runs_->at_once = true;
    if (++runs_->count == runs_->hangs_at) runs_->still.enter();
    runs_->meeting.come();
    logits_.assign(static_cast<std::size_t>(2 * input.shape[0] * input.shape[2] * input.shape[3]), 0.0F);
    use(kernels::contiguous(logits_.data(), kernels::Element::float32, input.shape[0], 2, input.shape[2],
                            input.shape[3]));
    runs_->inside.fetch_sub(1);
    return {};
  }

 private:
  std::shared_ptr<Runs> runs_;
  model::ModelInfo info_{"counted.pt", "test", ""};
  std::vector<float> logits_;
};

engine::DevicePlan plan(const std::string& name, const std::shared_ptr<Runs>& runs) {
  engine::DevicePlan made;
  made.name = name;
  made.make_device = []() -> Result<std::unique_ptr<device::Device>> { return device::make_host_device(); };
  made.make_model = [runs]() -> Result<std::unique_ptr<model::Model>> {
    return std::unique_ptr<model::Model>(new CountedModel(runs));
  };
  return made;
}

config::Config small_config() {
  config::Config config;
  config.pool.slots = 16;
  config.pool.shape = {1, 64, 64};
  config.engine.batch = 2;
  config.engine.stuck_seconds = 0;
  return config;
}

const TuneHooks kNobody{[](const std::string&) {}, [] { return std::optional<std::string>(); }};

TEST(Tune, devices_are_measured_each_alone_and_then_all_at_once) {
  const auto runs = std::make_shared<Runs>();
  const TuneHooks hooks{[&](const std::string& what) {
                          const bool together = what.find("at once") != std::string::npos;
                          EXPECT_TRUE(!together || !runs->at_once.load()) << "a device was not alone before " << what;
                          runs->at_once = false;
                          if (together) runs->meeting.call();
                        },
                        kNobody.asked_to};
  const auto tuning = tune_on({plan("a", runs), plan("b", runs)}, small_config(), hooks);
  ASSERT_TRUE(tuning.outcome) << tuning.outcome.error().text();
  EXPECT_EQ(runs->meeting.met(), 2) << "for each size of batch";
  ASSERT_EQ(tuning.devices.size(), 2U);
  ASSERT_EQ(tuning.sums.size(), 2U);
  for (std::size_t i = 0; i < tuning.sums.size(); ++i) {
    const auto& sum = tuning.sums[i];
    EXPECT_EQ(sum.devices, (std::vector<std::string>{"a", "b"}));
    ASSERT_EQ(sum.of_each.size(), 2U);
    for (std::size_t depth = 0; depth < kTuneDepths; ++depth) {
      EXPECT_DOUBLE_EQ(sum.at_once[depth], sum.of_each[0][depth] + sum.of_each[1][depth]);
      EXPECT_GT(sum.of_each[0][depth], 0);
      EXPECT_GT(sum.of_each[1][depth], 0);
      EXPECT_DOUBLE_EQ(sum.alone[depth],
                       tuning.devices[0].rows[i].events_per_s[depth] + tuning.devices[1].rows[i].events_per_s[depth]);
    }
    EXPECT_DOUBLE_EQ(sum.sequential,
                     std::max(tuning.devices[0].rows[i].sequential, tuning.devices[1].rows[i].sequential));
  }
  EXPECT_GT(tuning.batch, 0U);
}

// In its first run, alone, and beside others: wherever a device hangs, the end comes, with what there is.
TEST(Tune, a_device_that_hangs_anywhere_ends_it_with_what_was_measured_and_may_go_on_later) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "it counts runs in a time, of which TSan leaves too few";
#endif
  for (const auto& [hangs_at, rows] : {std::pair{1, 0U}, std::pair{300, 0U}, std::pair{1100, 1U}}) {
    SCOPED_TRACE(hangs_at);
    const auto other = std::make_shared<Runs>();
    const auto runs = std::make_shared<Runs>();
    runs->hangs_at = hangs_at;
    auto config = small_config();
    config.engine.stuck_seconds = 0.4;
    const auto tuning = tune_on({plan("good", other), plan("bad", runs)}, config, kNobody);
    runs->still.let_go_on();  // and finds all that it uses
    ASSERT_FALSE(tuning.outcome);
    EXPECT_EQ(tuning.outcome.error().id, "device.stuck");
    EXPECT_NE(tuning.outcome.error().what.find("bad: "), std::string::npos) << tuning.outcome.error().text();
    EXPECT_NE(tuning.outcome.error().untouched.find("may still touch"), std::string::npos);
    ASSERT_EQ(tuning.devices.size(), 2U);
    EXPECT_EQ(tuning.devices[0].rows.size(), 1U);
    EXPECT_EQ(tuning.devices[1].rows.size(), rows);
    EXPECT_TRUE(tuning.sums.empty());
  }
}

TEST(Tune, a_call_of_a_driver_that_does_not_come_back_is_given_up) {
  const auto still = std::make_shared<Standstill>();
  auto hanging = plan("bad", std::make_shared<Runs>());
  hanging.make_device = [still]() -> Result<std::unique_ptr<device::Device>> {
    still->enter();
    return Error{"device.lost", "", "", ""};
  };
  auto config = small_config();
  config.engine.stuck_seconds = 0.02;
  const auto tuning = tune_on({plan("good", std::make_shared<Runs>()), hanging}, config, kNobody);
  ASSERT_FALSE(tuning.outcome);
  EXPECT_EQ(tuning.outcome.error().id, "device.stuck");
  EXPECT_NE(tuning.outcome.error().what.find("bad: a call of the driver"), std::string::npos);
  still->let_go_on();
}

TEST(Tune, who_asks_for_its_end_gets_what_was_measured_before) {
  int said = 0;
  const TuneHooks hooks{[&](const std::string&) { ++said; },
                        [&] { return said > 1 ? std::optional<std::string>("SIGTERM") : std::nullopt; }};
  const auto tuning = tune_on({plan("a", std::make_shared<Runs>())}, small_config(), hooks);
  ASSERT_FALSE(tuning.outcome);
  EXPECT_EQ(tuning.outcome.error().id, "tune.interrupted");
  ASSERT_EQ(tuning.devices.size(), 1U);
  EXPECT_EQ(tuning.devices[0].rows.size(), 1U);
  EXPECT_EQ(tuning.devices[0].batch, 1U) << "of what was measured";
  const auto document = to_json(tuning);
  EXPECT_FALSE(document.at("complete"));
  EXPECT_EQ(document.at("ended").at("id"), "tune.interrupted");
  EXPECT_NE(to_table(tuning).find("ended early"), std::string::npos);
}

TEST(Tune, the_batches_that_are_asked_for_are_measured_also_beyond_the_configured_one) {
  const auto tuning = tune_on({plan("cpu", std::make_shared<Runs>())}, small_config(), kNobody,
                              {.seconds = 0.01, .batches = {6, 1, 6}});
  ASSERT_TRUE(tuning.outcome) << tuning.outcome.error().text();
  const auto& rows = tuning.devices.at(0).rows;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].events, 1U);
  EXPECT_EQ(rows[1].events, 6U);
  const auto document = to_json(tuning).at("devices").at(0).at("batches").at(1);
  EXPECT_GE(document.at("latency_ms").at("runs"), 10U) << "however short the time";
  EXPECT_EQ(document.at("latency_ms").at("median"), document.at("latency_ms").at("p50"));
  EXPECT_EQ(document.at("events_per_s_std").size(), kTuneDepths);
  EXPECT_GT(document.at("memory_used"), 0U) << "of this process";
}

TEST(Tune, of_what_was_not_measured_nothing_is_said) {
  Tuning tuning;
  tuning.devices.emplace_back().device = "cuda:0";
  tuning.outcome = Error{"tune.interrupted", "SIGINT came", "", ""};
  EXPECT_TRUE(to_json(tuning).at("devices").at(0).at("recommended").is_null());
  EXPECT_NE(to_table(tuning).find("nothing was measured"), std::string::npos);
  EXPECT_EQ(to_table(tuning).find("nothing fits"), std::string::npos);
}

TEST(TuneSlots, are_as_many_as_the_pool_has_and_more_where_more_are_needed) {
  for (const std::uint32_t needed : {4U, 40U}) {
    const auto slots = TuneSlots::make(small_config(), needed);
    ASSERT_TRUE(slots) << slots.error().text();
    EXPECT_TRUE((*slots)->told().shared);
    EXPECT_EQ((*slots)->told().slots, std::max(16U, needed));
    EXPECT_EQ((*slots)->told().note, "");
    EXPECT_EQ((*slots)->payload().size(), (*slots)->told().bytes);
  }
}

// So many reservations of shared memory fail.
TuneMemory made_where(int failing) {
  TuneMemory told;
  int tries = 0;
  const bool watched = test::with_watched_calls(
      {SYS_fallocate}, [&](const test::Call&) { return ++tries <= failing ? ENOSPC : 0; },
      [&] {
        const auto slots = TuneSlots::make(small_config(), 4);
        ASSERT_TRUE(slots) << slots.error().text();
        told = (*slots)->told();
        EXPECT_EQ((*slots)->payload().back(), std::byte{0});
      });
  if (!watched) told.note = test::kCannotWatch;
  return told;
}

TEST(TuneSlots, where_there_is_no_room_they_are_fewer_and_then_the_process_own_and_say_why) {
  const auto fewer = made_where(1);
  if (fewer.note == test::kCannotWatch) GTEST_SKIP() << test::kCannotWatch;
  EXPECT_TRUE(fewer.shared);
  EXPECT_EQ(fewer.slots, 4U);
  EXPECT_NE(fewer.note.find("needs 192.00 KiB but /dev/shm has"), std::string::npos) << fewer.note;
  const auto own = made_where(2);
  EXPECT_FALSE(own.shared);
  EXPECT_EQ(own.slots, 4U);
  EXPECT_NE(own.note.find("needs 48.00 KiB but /dev/shm has"), std::string::npos) << own.note;
}

}  // namespace
}  // namespace peaknet::supervisor
