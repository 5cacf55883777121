// Several devices on one Q1: with a model that sleeps, as the host does while a GPU works, each more device adds its
// throughput.
#include <gtest/gtest.h>

#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

double seconds_for(std::uint64_t frames, std::uint32_t devices, bool staged) {
  Line line({.slots = 32});
  std::vector<DevicePlan> plans;
  for (std::uint32_t i = 0; i < devices; ++i) {
    plans.push_back({"cpu", {}, Line::device_maker({.staged = staged, .seed = i}), line.model_maker()});
  }
  Engine engine(line.options_for({.depth = 2, .batch = 1}), std::move(plans), line.progress);
  if (!eventually([&] { return engine.usable() == devices; }, kPatience)) throw std::runtime_error("no devices");
  line.script->slow_us.store(4000);
  line.commit(line.geometry.slots);
  const auto begin = std::chrono::steady_clock::now();
  engine.open("run");
  while (line.committed() < frames) line.commit(1);  // takes results as slots are needed
  line.collect_all();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  line.expect_settled();
  for (std::uint32_t i = 0; i < devices; ++i) EXPECT_GT(line.record(i).frames.load(), frames / devices / 4);
  return took.count();
}

TEST(EngineScaling, four_devices_do_the_work_in_less_than_half_the_time_of_one) {
  for (const bool staged : {false, true}) {
    const double one = seconds_for(160, 1, staged);
    const double four = seconds_for(160, 4, staged);
    RecordProperty(staged ? "staged" : "host", std::to_string(one / four));
    EXPECT_GT(one / four, 2.0) << one << " s and " << four << " s";
  }
}

}  // namespace
}  // namespace peaknet::engine::test
