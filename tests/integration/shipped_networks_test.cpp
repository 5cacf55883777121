// The networks of models/ in a real peaknetd: their golden images give their golden masks, and each hit of the demo has its
// peaks. A frame of zeros has none for contrast; PeakNet-small was never shown one (its card).
#include <gtest/gtest.h>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

void expect_the_hits_of_the_demo(const std::string& file, const std::string& normalize, const std::string& zeros) {
  const std::string model = source_dir() + "/models/" + file;
  System system({.model = model,
                 .shape = "[1,1024,1024]",
                 .slots = 8,
                 .batch = 2,
                 .min_num_peak = 10,
                 .more = {"preprocess: {normalize: " + normalize + "}"}});
  system.start_daemon();
  system.start_writer();
  const auto shown = system.ctl_json({"model", "show"});
  EXPECT_EQ(shown.at("path"), model);
  EXPECT_EQ(shown.at("golden"), "equal") << shown.dump();
  auto feed = system.feed({"replay", "--blank-between", zeros, source_dir() + "/scripts/demo_data/lysozyme_hits.h5"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto events = system.events_in_files();
  EXPECT_EQ(events.size(), 4U) << "the four hits";
  for (const auto& event : events) EXPECT_GE(event.x.size(), 30U) << "event " << event.event_id;
}

TEST(ShippedNetworks, ContrastIsTakenWithItsGoldenFilesAndFindsTheHitsOfTheDemo) {
  expect_the_hits_of_the_demo("contrast.pt", "none", "1");
}

TEST(ShippedNetworks, PeakNetSmallIsTakenWithItsGoldenFilesAndFindsTheHitsOfTheDemo) {
  expect_the_hits_of_the_demo("peaknet_small/peaknet_small.pt", "instance", "0");
}

}  // namespace
}  // namespace peaknet::test
