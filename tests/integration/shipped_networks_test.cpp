// The networks of models/ in a real peaknetd: their golden images give their golden masks, and in the demo's frames each hit
// has its peaks and a blank frame has none.
#include <gtest/gtest.h>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

void expect_the_hits_of_the_demo(const std::string& file, const std::string& normalize) {
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
  auto feed = system.feed({"replay", "--blank-between", "1", source_dir() + "/scripts/demo_data/lysozyme_hits.h5"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto events = system.events_in_files();
  EXPECT_EQ(events.size(), 4U) << "the four hits, and no blank frame";
  for (const auto& event : events) EXPECT_GE(event.x.size(), 30U) << "event " << event.event_id;
}

TEST(ShippedNetworks, ContrastIsTakenWithItsGoldenFilesAndFindsTheHitsOfTheDemo) {
  expect_the_hits_of_the_demo("contrast.pt", "none");
}

TEST(ShippedNetworks, PeakNetSmallIsTakenWithItsGoldenFilesAndFindsTheHitsOfTheDemo) {
  expect_the_hits_of_the_demo("peaknet_small/peaknet_small.pt", "instance");
}

}  // namespace
}  // namespace peaknet::test
