// What the engine does with CudaDevices that the host's device does not show: one registration, events that are given
// back, time by the device's clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <tuple>

#include "daemon/engine/left_behind.hpp"
#include "tests/gpusim/simulator.hpp"
#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

class EngineOnGpus : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!gpusim::simulated()) GTEST_SKIP() << "this is no simulated CUDA runtime";
  }
  // The participant of this label is there no more.
  static bool has_left(const Line& line, const std::string& label) {
    const auto& all = line.instance.layout().participants;
    const auto presence = [&](shm::Presence wanted) {
      return std::any_of(all.begin(), all.end(),
                         [&](const auto& one) { return one.label.load() == label && one.presence.load() == wanted; });
    };
    return presence(shm::Presence::left) && !presence(shm::Presence::attached);
  }
  static std::unique_ptr<Engine> engine(Line& line, std::uint32_t devices, const Line::Choice& choice) {
    std::vector<DevicePlan> plans;
    for (std::uint32_t i = 0; i < devices; ++i) {
      DevicePlan plan{device_name(i), {}, Line::device_maker({.index = i}), line.model_maker()};
      plan.load_other = [maker = line.model_maker()](const std::string&) { return maker(); };
      plans.push_back(std::move(plan));
    }
    auto made = std::make_unique<Engine>(line.options_for(choice), std::move(plans), line.progress);
    EXPECT_TRUE(eventually([&] { return !made->warming(); }, kPatience));
    return made;
  }
};

TEST_F(EngineOnGpus, registers_the_slots_once_for_all_its_devices) {
  Line line;
  const auto before = gpusim::counted("registrations");
  const auto engine = this->engine(line, 2, {});
  EXPECT_EQ(engine->usable(), 2U);
  for (std::uint32_t i = 0; i < 2; ++i) EXPECT_EQ(line.record(i).h2d_mode.load(), "registered");
  EXPECT_EQ(gpusim::counted("registrations"), before + 1);
}

TEST_F(EngineOnGpus, keeps_no_event_of_a_model_that_was_loaded) {
  Line line;
  line.script->may_record.store(true);  // trials of replays
  const auto engine = this->engine(line, 1, {.depth = 2, .batch = 4});
  const auto alive = [] { return gpusim::counted("events made") - gpusim::counted("events destroyed"); };
  ASSERT_TRUE(engine->load("first").get().ok());
  const auto before = alive();
  const auto made = gpusim::counted("events made");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(engine->load("another").get().ok());
  EXPECT_GT(gpusim::counted("events made"), made + 100) << "no trial has made any";
  EXPECT_EQ(alive(), before);
}

// Whatever the worker asks of the driver when it hangs: the other device goes on, and when the driver comes back after
// all, so do the frames.
TEST_F(EngineOnGpus, goes_on_without_one_whose_driver_hangs_in_any_call_and_has_its_frames_back_if_that_returns) {
  for (const auto& [call, after] :
       {std::pair{"a copy", 1U}, std::pair{"a copy", 7U}, std::pair{"a launch", 40U}, std::pair{"cudaEventRecord", 1U},
        std::pair{"cudaStreamWaitEvent", 5U}, std::pair{"cudaEventQuery", 30U}, std::pair{"cudaEventElapsedTime", 4U},
        std::pair{"cudaLaunchHostFunc", 3U}, std::pair{"cudaGetLastError", 2U}}) {
    SCOPED_TRACE(call);
    gpusim::reset();
    Line line;
    auto engine = this->engine(line, 2, {.depth = 3, .batch = 2, .stuck_after = 250ms});
    ASSERT_EQ(engine->usable(), 2U);
    engine->open("run-1");
    gpusim::block_after(("device 1: " + std::string(call)).c_str(), after);
    const auto hangs = gpusim::counted("calls that hang");
    while (gpusim::counted("calls that hang") == hangs) line.commit_one();
    ASSERT_TRUE(eventually(
        [&] {
          engine->look_after();
          return !engine->failures().empty();
        },
        kPatience));
    const auto failure = engine->failures().front().text();
    EXPECT_NE(failure.find("a call of the driver ("), std::string::npos) << failure;
    EXPECT_EQ(line.record(1).state.load(), "lost");
    EXPECT_EQ(line.record(1).error.load(), failure);
    line.commit(30);
    gpusim::free_hung();
    line.collect_all();
    EXPECT_EQ(engine->usable(), 1U) << "once lost it stays so";
    EXPECT_TRUE(eventually([&] { return engine->frames_held() == 0; }, kPatience));
    engine.reset();
    line.expect_settled();
    EXPECT_EQ(gpusim::take_findings(), 0U);
    if (HasFailure()) return;
  }
}

TEST_F(EngineOnGpus, has_no_use_for_a_device_that_was_given_up_before_it_was_ready) {
  for (const auto& [call, after, loads] : {std::tuple{"cudaHostAlloc", 1U, 0}, std::tuple{"a launch", 2U, 1}}) {
    SCOPED_TRACE(call);
    gpusim::reset();
    Line line;
    gpusim::block_after(("device 0: " + std::string(call)).c_str(), after);
    std::atomic<int> loaded{0};
    const auto make_model = [&, make = line.model_maker()] {
      ++loaded;
      return make();
    };
    std::vector<DevicePlan> plans;
    plans.push_back({device_name(0), {}, Line::device_maker({}), make_model});
    Engine engine(line.options_for({.depth = 2, .batch = 2, .stuck_after = 100ms}), std::move(plans), line.progress);
    ASSERT_TRUE(eventually(
        [&] {
          engine.look_after();
          return !engine.failures().empty();
        },
        kPatience));
    EXPECT_EQ(engine.failures().front().id, "device.stuck");
    gpusim::free_hung();
    ASSERT_TRUE(eventually([&] { return has_left(line, "device " + device_name(0)); }, kPatience)) << "it is used";
    EXPECT_EQ(loaded.load(), loads);
    EXPECT_EQ(line.record().state.load(), "lost");
    EXPECT_EQ(engine.usable(), 0U);
  }
}

TEST_F(EngineOnGpus, ends_though_a_thread_stands_in_the_driver_which_stops_where_it_is_if_it_comes_back) {
  Line line;
  auto options = line.options_for({.depth = 2, .batch = 2});
  options.last_call = 100ms;
  std::uint32_t index = 0;
  for (const auto& [call, after] :
       {std::pair{"a copy", 9U}, std::pair{"cudaHostAlloc", 1U}, std::pair{"a launch", 2U}}) {
    SCOPED_TRACE(call);
    const auto name = device_name(index);
    const auto hangs = gpusim::counted("calls that hang");
    gpusim::block_after(("device " + std::to_string(index) + ": " + call).c_str(), after);
    std::vector<DevicePlan> plans;
    plans.push_back({name, {}, Line::device_maker({.index = index++}), line.model_maker()});
    auto engine = std::make_unique<Engine>(options, std::move(plans), line.progress);
    engine->open("run-1");
    while (gpusim::counted("calls that hang") == hangs) line.try_commit();
    engine.reset();
    EXPECT_TRUE(anything_left_behind());
  }
  gpusim::free_hung();
}

TEST_F(EngineOnGpus, is_busy_for_as_long_as_the_device_computes_and_not_while_it_is_told_what_to_do) {
  ::setenv("GPUSIM_KERNEL_MS", "threshold:5", 1);
  gpusim::reset();
  Line line;
  {
    const auto engine = this->engine(line, 1, {.depth = 1, .batch = 1});
    engine->open("run-1");
    line.commit(8);
    line.collect_all();
    ASSERT_TRUE(eventually([&] { return engine->frames_in_flight() == 0; }, kPatience));
    EXPECT_GE(line.record().busy_ns.load(), 8U * 5'000'000U);
  }
  line.expect_settled();
}

}  // namespace
}  // namespace peaknet::engine::test
