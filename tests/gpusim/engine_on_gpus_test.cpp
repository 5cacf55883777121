// What the engine does with CudaDevices that the host's device does not show: one registration, events that are given
// back, time by the device's clock.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/gpusim/simulator.hpp"
#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

class EngineOnGpus : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!gpusim::simulated()) GTEST_SKIP() << "this is no simulated CUDA runtime";
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
