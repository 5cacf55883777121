// The depth of the engine changed while frames flow.
#include <gtest/gtest.h>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

// What the files say of each event: the same for every depth.
std::map<std::uint64_t, std::pair<std::vector<float>, std::vector<float>>> peaks_by_event(const System& system) {
  std::map<std::uint64_t, std::pair<std::vector<float>, std::vector<float>>> peaks;
  for (const auto& event : system.events_in_files()) peaks[event.event_id] = {event.x, event.y};
  return peaks;
}

TEST(Rebuffer, FromOneToFiveAndBackWhileFramesFlowLosesNothingAndChangesNoResult) {
  const std::vector<std::string> frames{"simulate", "--frames", "600", "--hit-fraction", "0.8", "--seed", "3"};
  System plain({.model = "builtin:threshold=150", .depth = 1});
  plain.start_daemon();
  plain.start_writer();
  ASSERT_EQ(plain.feed(frames).wait(), Exit::code(0));
  ASSERT_EQ(plain.ctl({"stop"}).wait(), Exit::code(0));

  System changing({.model = "builtin:threshold=150", .depth = 1});
  changing.start_daemon();
  changing.start_writer();
  auto paced = frames;
  paced.insert(paced.end(), {"--rate", "500"});
  auto feed = changing.launch("peaknet-feed", paced);
  unsigned before = 1;
  for (const unsigned depth : {5U, 2U, 2U, 8U, 1U, 5U, 1U}) {
    const auto receipt = changing.ctl_json({"rebuffer", "--depth", std::to_string(depth)});
    EXPECT_EQ(receipt.at("before"), before) << receipt.dump();
    EXPECT_EQ(receipt.at("after"), depth);
    EXPECT_EQ(receipt.at("lost"), 0);
    before = depth;
  }
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(changing.ctl({"stop"}).wait(), Exit::code(0));
  const auto stats = changing.stats();
  EXPECT_EQ(stats.at("frames").at("imbalance"), 0);
  EXPECT_EQ(stats.at("frames").at("committed"), 600);
  EXPECT_EQ(stats.at("frames").at("in_flight"), 0);
  EXPECT_EQ(peaks_by_event(changing), peaks_by_event(plain));
}

TEST(Rebuffer, TheLargestBatchChangesToo) {
  System system({.model = "builtin:threshold=150", .batch = 8});
  system.start_daemon();
  auto receipt = system.ctl_json({"rebuffer", "--depth", "3", "--batch", "2"});
  EXPECT_EQ(receipt.at("batch_before"), 8);
  EXPECT_EQ(receipt.at("batch_after"), 2);
  EXPECT_EQ(system.stats().at("devices").at(0).at("batch"), 2);
  receipt = system.ctl_json({"rebuffer", "--depth", "3"});
  EXPECT_EQ(receipt.at("batch_after"), 2) << "left as it is";
  EXPECT_EQ(system.stats().at("devices").at(0).at("rebuffers"), 1) << "equal values change nothing";
  auto refused = system.ctl({"rebuffer", "--depth", "3", "--batch", "9"});
  EXPECT_EQ(refused.wait(), Exit::code(1));
  EXPECT_NE(refused.err().find("1 to 8"), std::string::npos) << refused.err();
  EXPECT_EQ(system.stats().at("devices").at(0).at("batch"), 2);
}

TEST(Rebuffer, AnImpossibleDepthIsRefusedAndNothingChanges) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  for (const char* depth : {"0", "9"}) {
    auto refused = system.ctl({"rebuffer", "--depth", depth});
    EXPECT_NE(refused.wait(), Exit::code(0));
    EXPECT_NE(refused.err().find("depth"), std::string::npos) << refused.err();
  }
  EXPECT_EQ(system.stats().at("devices").at(0).at("depth"), 3);
}

}  // namespace
}  // namespace peaknet::test
