// peaknetd tune: a table of batches and depths, and what to choose.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

TEST(Tune, MeasuresEveryBatchAndDepthAndRecommendsWhatIsFastest) {
  // A batch takes 20 ms whatever its size: the largest is the fastest by far.
  const System system({.model = "builtin:delay=20", .shape = "[1,64,64]", .batch = 4});
  auto tune = system.run("peaknetd", {"tune", "--json"});
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  const auto document = nlohmann::json::parse(tune.out());
  EXPECT_EQ(document.at("schema"), "peaknet.tune/1");
  const auto& device = document.at("devices").at(0);
  EXPECT_EQ(device.at("device"), "cpu");
  EXPECT_EQ(device.at("clock"), "device") << "its events have times";
  EXPECT_EQ(device.at("model"), "builtin:delay=20");
  EXPECT_GT(device.at("memory_total").get<std::uint64_t>(), device.at("memory_free").get<std::uint64_t>());
  ASSERT_EQ(device.at("batches").size(), 3U);
  unsigned events = 1;
  for (const auto& row : device.at("batches")) {
    EXPECT_EQ(row.at("events"), events);
    const auto& latency = row.at("latency_ms");
    EXPECT_GE(latency.at("min"), 20.0);
    EXPECT_LE(latency.at("min"), latency.at("p50"));
    EXPECT_LE(latency.at("p50"), latency.at("p95"));
    EXPECT_LE(latency.at("p95"), latency.at("p99"));
    EXPECT_LE(latency.at("p99"), latency.at("max"));
    EXPECT_GE(row.at("stages_ms").at("compute"), 20.0);
    EXPECT_LT(row.at("stages_ms").at("upload"), 20.0);
    EXPECT_FALSE(row.at("replayed").get<bool>()) << "the host has no graphs";
    ASSERT_EQ(row.at("events_per_s").size(), 3U);
    for (const auto& rate : row.at("events_per_s")) EXPECT_LE(rate, 50.0 * events);
    events *= 2;
  }
  EXPECT_EQ(device.at("recommended").at("batch"), 4);
  EXPECT_EQ(system.ctl({"status"}).wait(), Exit::code(3)) << "no daemon, no shared memory";
}

TEST(Tune, PrintsATableForPeople) {
  const System system({.model = "builtin:delay=1", .shape = "[1,64,64]", .batch = 2});
  auto tune = system.run("peaknetd", {"tune"});
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  EXPECT_NE(tune.out().find("recommended: engine.batch: "), std::string::npos) << tune.out();
  EXPECT_NE(tune.err().find("cpu: batches of 2"), std::string::npos) << tune.err();
}

TEST(Tune, DrawsAPicture) {
  const System system({.model = "builtin:delay=1", .shape = "[1,64,64]", .batch = 2});
  const auto path = (system.folder() / "tune.png").string();
  auto tune = system.run("peaknetd", {"tune", "--plot", path});
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  std::ifstream file(path, std::ios::binary);
  std::string magic(8, ' ');
  file.read(magic.data(), 8);
  EXPECT_EQ(magic, "\x89PNG\r\n\x1a\n");
}

TEST(Tune, APictureThatCannotBeWrittenIsAnErrorAfterTheTable) {
  const System system({.model = "builtin:delay=1", .shape = "[1,64,64]", .batch = 1});
  auto tune = system.run("peaknetd", {"tune", "--plot", "/no/such/folder/tune.png"});
  EXPECT_EQ(tune.wait(), Exit::code(78));
  EXPECT_NE(tune.out().find("recommended"), std::string::npos) << tune.out();
  EXPECT_NE(tune.err().find("preview.write"), std::string::npos) << tune.err();
}

TEST(Tune, AModelThatCannotBeLoadedEndsItWithTheReason) {
  const System system({.model = "builtin:nothing"});
  auto tune = system.run("peaknetd", {"tune"});
  EXPECT_EQ(tune.wait(), Exit::code(78));
  EXPECT_NE(tune.err().find("model.unknown-builtin"), std::string::npos) << tune.err();
}

}  // namespace
}  // namespace peaknet::test
