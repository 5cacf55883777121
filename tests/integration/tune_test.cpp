// peaknetd tune: a table of batches and depths, and what to choose.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

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
  EXPECT_TRUE(document.at("complete"));
  EXPECT_FALSE(document.contains("at_once")) << "there is one device";
  EXPECT_EQ(system.ctl({"status"}).wait(), Exit::code(3)) << "no daemon, no shared memory";
}

// Each figure over that of one buffer with a wait after each step.
void expect_speed_ups(const nlohmann::json& of, const nlohmann::json& rates, double sequential) {
  ASSERT_EQ(of.size(), rates.size());
  for (std::size_t i = 0; i < of.size(); ++i)
    EXPECT_NEAR(of.at(i).get<double>(), rates.at(i).get<double>() / sequential, 1e-9);
}

TEST(Tune, SaysHowMuchFasterThanSequentialEachShapeIsAndWhatAllDevicesDoAtOnce) {
  const System system({.model = "builtin:delay=2", .shape = "[1,64,64]", .batch = 2});
  auto tune = system.run("peaknetd", {"tune", "--json"}, {"engine.devices=[cpu, cpu]"});
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  const auto document = nlohmann::json::parse(tune.out());
  ASSERT_EQ(document.at("devices").size(), 2U);
  const auto& sums = document.at("at_once").at("batches");
  ASSERT_EQ(sums.size(), 2U);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    double fastest = 0;
    for (const auto& device : document.at("devices")) {
      const auto& row = device.at("batches").at(i);
      const double sequential = row.at("sequential_events_per_s");
      EXPECT_LE(sequential, 500.0 * row.at("events").get<double>());
      fastest = std::max(fastest, sequential);
      expect_speed_ups(row.at("speed_up"), row.at("events_per_s"), sequential);
    }
    expect_speed_ups(sums.at(i).at("speed_up"), sums.at(i).at("events_per_s"), fastest);
    for (std::size_t depth = 0; depth < 3; ++depth) {
      double at_once = 0;
      double alone = 0;
      for (std::size_t device = 0; device < 2; ++device) {
        at_once += sums.at(i).at("devices").at(device).at("events_per_s").at(depth).get<double>();
        alone += document.at("devices").at(device).at("batches").at(i).at("events_per_s").at(depth).get<double>();
      }
      EXPECT_NEAR(sums.at(i).at("events_per_s").at(depth).get<double>(), at_once, 1e-6);
      EXPECT_NEAR(sums.at(i).at("alone_events_per_s").at(depth).get<double>(), alone, 1e-6);
    }
  }
  EXPECT_GT(document.at("at_once").at("recommended").at("batch"), 0);
  EXPECT_NE(tune.err().find("2 devices at once: batches of 2"), std::string::npos) << tune.err();
}

// The memory that a process has mapped from /dev/shm, as the kernel names it.
std::string shared_memory_of_process(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  std::string found;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" /dev/shm/") != std::string::npos) found += line + "\n";
  }
  return found;
}

// Its images come from there, under no name: nobody takes it for an instance, and nothing is left of it.
TEST(Tune, MeasuresFromSharedMemoryAsLargeAsThePoolAndLeavesNoneWhenItIsKilled) {
  const System system({.model = "builtin:delay=200", .shape = "[1,64,64]", .slots = 48, .batch = 1});
  auto tune = system.launch("peaknetd", {"tune", "--json"});
  ASSERT_TRUE(eventually([&] { return tune.err().find("batches of 1") != std::string::npos; }));
  const auto mapped = shared_memory_of_process(tune.pid());
  EXPECT_NE(mapped.find("(deleted)"), std::string::npos) << mapped;
  const auto named = [&] {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      const auto name = entry.path().filename().string();
      if (name.find(system.instance()) != std::string::npos) names += name + " ";
    }
    return names;
  };
  EXPECT_EQ(named(), "");
  tune.kill();
  EXPECT_EQ(named(), "");
}

TEST(Tune, TellsWhatMemoryItMeasuredAndWhyItIsNoOther) {
  const System system({.model = "builtin:delay=1", .shape = "[1,64,64]", .slots = 48, .batch = 1});
  auto shared = system.run("peaknetd", {"tune", "--json"});
  ASSERT_EQ(shared.wait(), Exit::code(0)) << shared.err();
  const auto memory = nlohmann::json::parse(shared.out()).at("memory");
  EXPECT_EQ(memory.at("kind"), "shared");
  EXPECT_EQ(memory.at("slots"), 48);
  EXPECT_EQ(memory.at("note"), "");

  auto own = system.run("peaknetd", {"tune"}, {"pool.folder=/no/such/folder"});
  ASSERT_EQ(own.wait(), Exit::code(0)) << own.err();
  EXPECT_NE(own.out().find("in memory of this process: "), std::string::npos) << own.out();
  EXPECT_NE(own.err().find("/no/such/folder: No such file or directory"), std::string::npos) << own.err();
}

TEST(Tune, HarmsNoInstanceOfTheSameName) {
  System system({.model = "builtin:threshold=500", .shape = "[1,64,64]", .batch = 1});
  system.start_daemon();
  auto tune = system.run("peaknetd", {"tune", "--json"}, {"model.path=builtin:delay=1"});
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  EXPECT_EQ(nlohmann::json::parse(tune.out()).at("memory").at("kind"), "shared");
  EXPECT_EQ(system.ctl({"status"}).wait(), Exit::code(0));
}

TEST(Tune, PrintsWhatItHasWhenASignalEndsIt) {
  const System system({.model = "builtin:delay=5", .shape = "[1,64,64]", .batch = 2});
  for (const int signal : {SIGINT, SIGTERM}) {
    auto tune = system.launch("peaknetd", {"tune", "--json"});
    ASSERT_TRUE(
        eventually([&] { return tune.err().find("batches of 2") != std::string::npos; }, std::chrono::seconds(60)));
    tune.signal(signal);
    EXPECT_EQ(tune.wait(), Exit::code(128 + signal)) << tune.err();
    const auto document = nlohmann::json::parse(tune.out());
    EXPECT_FALSE(document.at("complete"));
    EXPECT_EQ(document.at("ended").at("id"), "tune.interrupted");
    ASSERT_EQ(document.at("devices").at(0).at("batches").size(), 1U);
    EXPECT_EQ(document.at("devices").at(0).at("recommended").at("batch"), 1);
  }
}

TEST(Tune, EndsWhenAskedThoughARunTakesAnHour) {
  const System system({.model = "builtin:delay=3600000", .shape = "[1,64,64]", .batch = 1});
  auto tune = system.launch("peaknetd", {"tune"});
  ASSERT_TRUE(eventually([&] { return tune.err().find("batches of 1") != std::string::npos; }));
  tune.signal(SIGTERM);
  EXPECT_EQ(tune.wait(), Exit::code(128 + SIGTERM)) << tune.err();
  EXPECT_NE(tune.out().find("nothing was measured"), std::string::npos) << tune.out();
}

TEST(Tune, GivesADeviceUpThatDoesNotComeToAnEnd) {
  const System system({.model = "builtin:delay=3600000", .shape = "[1,64,64]", .batch = 1});
  auto tune = system.run("peaknetd", {"tune"}, {"engine.stuck_seconds=0.5"});
  EXPECT_EQ(tune.wait(), Exit::code(70));
  EXPECT_NE(tune.err().find("may still touch"), std::string::npos) << tune.err();
  EXPECT_NE(tune.err().find("[device.stuck]"), std::string::npos) << tune.err();
}

TEST(Tune, PrintsATableForPeople) {
  const System system({.model = "builtin:delay=1", .shape = "[1,64,64]", .batch = 2});
  auto tune = system.run("peaknetd", {"tune"});
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  EXPECT_NE(tune.out().find("recommended: engine.batch: "), std::string::npos) << tune.out();
  for (const char* part : {"in shared memory", "sequential", " depth 3"})
    EXPECT_NE(tune.out().find(part), std::string::npos) << part << " is not in " << tune.out();
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
