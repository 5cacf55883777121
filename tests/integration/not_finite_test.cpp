// A network that gives no numbers, and pixels that are none: through the real programs, as operators see them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "shm/producer.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr float kBlinding = -3e38F;  // for such a pixel the network below gives -infinity

System::Options floats() { return {.model = "builtin:threshold=3e38", .shape = "[1,64,70]", .dtype = "float32"}; }

void put(shm::Producer& producer, float last_pixel) {
  auto frame = must(producer.claim(std::chrono::seconds(10)));
  const auto pixels = frame.pixels<float>();
  std::fill(pixels.begin(), pixels.end(), 7.0F);
  pixels.back() = last_pixel;
  must(frame.commit());
}

TEST(NotFinite, FramesAndPixelsAreCountedAndSeenWhereOperatorsLook) {
  System system(floats());
  system.start_daemon();
  system.start_writer();
  const auto producer = must(shm::Producer::attach(system.instance(), {.label = "test"}));
  for (int i = 0; i < 20; ++i) put(*producer, 7.0F);
  put(*producer, std::numeric_limits<float>::quiet_NaN());
  put(*producer, -std::numeric_limits<float>::infinity());
  ASSERT_EQ(system.ctl({"wait", "--for", "drained"}).wait(), Exit::code(0));
  auto well = system.ctl({"status", "--check"});
  EXPECT_EQ(well.wait(), Exit::code(0)) << well.out();
  for (int i = 0; i < 3; ++i) put(*producer, kBlinding);
  ASSERT_EQ(system.ctl({"wait", "--for", "drained"}).wait(), Exit::code(0));

  const auto stats = system.stats();
  EXPECT_EQ(stats.at("frames").at("failed").at("model"), 3) << stats.dump(2);
  EXPECT_EQ(stats.at("frames").at("filtered"), 22);
  EXPECT_EQ(stats.at("pixels_not_finite"), 2);
  auto sick = system.ctl({"status", "--check"});
  EXPECT_EQ(sick.wait(), Exit::code(7));
  EXPECT_THAT(sick.out(),
              AllOf(HasSubstr("3 frames failed since the run began (model 3)"), HasSubstr("NaN or infinite")));
  auto errors = system.ctl({"errors"});
  EXPECT_EQ(errors.wait(), Exit::code(0));
  EXPECT_THAT(errors.out(), AllOf(HasSubstr("model.not-finite"), HasSubstr("builtin:threshold=3e38")));
  auto metrics = system.ctl({"stats", "--prom"});
  EXPECT_EQ(metrics.wait(), Exit::code(0));
  EXPECT_THAT(metrics.out(),
              HasSubstr("peaknet_pixels_not_finite_total{instance_name=\"" + system.instance() + "\"} 2"));
  auto shown = system.ctl({"status"});
  EXPECT_EQ(shown.wait(), Exit::code(0));
  EXPECT_THAT(shown.out(), HasSubstr("2 pixels were NaN or infinite"));

  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("pixels_not_finite"), 0) << "of the run";
  auto again = system.ctl({"status", "--check"});
  again.wait();
  EXPECT_THAT(again.out(), Not(HasSubstr("health.failed-frames"))) << "of the run";
}

TEST(NotFinite, ANetworkThatGivesNothingElseIsRefusedAndTheOldOneGoesOn) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  auto refused = system.ctl({"model", "load", "builtin:threshold=1e39"});  // infinite as a float
  EXPECT_EQ(refused.wait(), Exit::code(1));
  EXPECT_THAT(refused.err(), AllOf(HasSubstr("[model.not-finite]"), HasSubstr("the first is panel 0")));
  EXPECT_EQ(system.ctl_json({"model", "show"}).at("path"), "builtin:threshold=150");
  EXPECT_EQ(system.stats().at("state"), "running");
}

}  // namespace
}  // namespace peaknet::test
