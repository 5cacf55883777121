// A device that does not answer any more: the daemon says so and ends so that systemd starts it again, and the frames
// that were on the device or waited are found by the next one.
#include <gtest/gtest.h>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

TEST(DeviceLoss, WithoutADeviceTheDaemonEndsWith70AndTheNextOneFindsItsFrames) {
  // A warm-up may take four times as long as a batch: it ends, and the first batch does not. Idle until all frames are
  // there.
  System system({.model = "builtin:delay=2000", .batch = 1, .depth = 2});
  auto daemon = system.launch("peaknetd", {}, {"engine.stuck_seconds=1", "autostart=false"});
  ASSERT_EQ(system.ctl({"wait", "--for", "idle"}).wait(), Exit::code(0));
  ASSERT_EQ(system.feed({"simulate", "--frames", "5", "--hit-fraction", "1"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"start", "--no-writer"}).wait(), Exit::code(0));
  auto failed = system.ctl({"wait", "--for", "idle"});
  EXPECT_EQ(failed.wait(), Exit::code(1)) << failed.out();
  EXPECT_NE(failed.err().find("is not done after"), std::string::npos)
      << "never failed without its cause: " << failed.err();
  EXPECT_EQ(daemon.wait(), Exit::code(70)) << daemon.err();
  EXPECT_NE(daemon.err().find("device.stuck"), std::string::npos) << daemon.err();

  auto page = system.ctl({"--json", "stats"});
  EXPECT_EQ(page.wait(), Exit::code(3));  // nobody answers: the control segment speaks
  const auto stats = nlohmann::json::parse(page.out());
  EXPECT_EQ(stats.at("state"), "absent");
  EXPECT_EQ(stats.at("queues").at("q1"), 5);
  EXPECT_EQ(stats.at("devices").at(0).at("state"), "lost");
  EXPECT_NE(stats.at("devices").at(0).at("error").get<std::string>().find("device.stuck"), std::string::npos);

  auto next = system.launch("peaknetd", {}, {"model.path=builtin:threshold=150"});
  system.start_writer();
  ASSERT_EQ(system.ctl({"wait", "--for", "running"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto after = system.stats();
  EXPECT_EQ(after.at("lifetime").at("committed"), 5);
  EXPECT_EQ(after.at("lifetime").at("inferred"), 5);
  EXPECT_EQ(after.at("lifetime").at("in_flight"), 0);
  EXPECT_EQ(after.at("lifetime").at("imbalance"), 0);
  next.signal(SIGTERM);
  EXPECT_EQ(next.wait(), Exit::code(0)) << next.err();
}

TEST(DeviceLoss, OfSeveralHostDevicesEachWorks) {
  System system({.model = "builtin:delay=5", .batch = 1, .depth = 2});
  system.start_daemon({"engine.devices=[cpu, cpu, cpu]", "engine.cpus=[node0]"});
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "200"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto stats = system.stats();
  ASSERT_EQ(stats.at("devices").size(), 3U);
  std::uint64_t frames = 0;
  for (const auto& device : stats.at("devices")) {
    EXPECT_GT(device.at("frames"), 20) << stats.at("devices").dump(2);
    frames += device.at("frames").get<std::uint64_t>();
  }
  EXPECT_EQ(frames, 200U);
  EXPECT_EQ(stats.at("frames").at("imbalance"), 0);
}

}  // namespace
}  // namespace peaknet::test
