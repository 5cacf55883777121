// The program itself: its options, its exit codes, and system calls that fail under it.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

using shm::Counter;
using test::Child;
using test::eventually;
using test::Exit;
using test::must;

std::string program() { return test::bin_dir() + "/peaknet-writer"; }

class WriterProgram : public ::testing::Test {
 protected:
  std::string config_file(const config::Config& settings) const {
    const auto path = folder_.path() / "writer.yaml";
    std::ofstream(path) << config::to_yaml(settings);
    return path;
  }
  std::filesystem::path out() const { return folder_.path() / "out"; }

  void expect_each_once(std::uint64_t frames) {
    const auto events = test::events_in(out(), stage_.geometry());
    EXPECT_EQ(events.size(), frames);
    for (const auto& [name, times] : events) EXPECT_EQ(times, 1) << name;
    EXPECT_EQ(stage_.instance().total(Counter::written), frames);
    EXPECT_BALANCED(stage_.instance());
    EXPECT_EQ(test::audit_problems(out()), "");
  }

  test::Stage stage_;
  test::TempFolder folder_;
};

TEST_F(WriterProgram, FinishesItsFileAtSigtermAndExitsWithZero) {
  auto writer = Child::start(
      {program(), "--config", config_file(stage_.settings(out())), "--set", "output.events_per_file=1000"});
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(stage_.feed({.number = i}));
  ASSERT_TRUE(eventually([&] { return stage_.instance().total(Counter::written) == 20; }));
  EXPECT_EQ(test::finished_files(out()).size(), 0U);
  writer.signal(SIGTERM);
  EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
  EXPECT_EQ(test::finished_files(out()).size(), 1U);
  expect_each_once(20);
}

TEST_F(WriterProgram, SeveralShareTheWorkIntoFilesOfTheirOwn) {
  const auto file = config_file(stage_.settings(out()));
  std::vector<Child> writers;
  for (int i = 0; i < 2; ++i) writers.push_back(Child::start({program(), "--config", file}));
  ASSERT_TRUE(stage_.await_writers(2));
  for (std::uint64_t i = 0; i < 80; ++i) ASSERT_TRUE(stage_.feed({.number = i}));
  ASSERT_TRUE(stage_.close_files(2));
  for (auto& writer : writers) {
    writer.signal(SIGTERM);
    EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
  }
  expect_each_once(80);
}

TEST_F(WriterProgram, RefusesWhatItDoesNotKnow) {
  const auto file = config_file(stage_.settings(out()));
  EXPECT_EQ(Child::start({program(), "--frobnicate"}).wait(), Exit::code(2));
  EXPECT_EQ(Child::start({program(), "--config", folder_.path() / "nowhere.yaml"}).wait(), Exit::code(78));
  auto misspelt = Child::start({program(), "--config", file, "--set", "output.event_per_file=3"});
  EXPECT_EQ(misspelt.wait(), Exit::code(78));
  EXPECT_NE(misspelt.err().find("output.events_per_file"), std::string::npos) << misspelt.err();
  auto geometry = Child::start({program(), "--config", file, "--set", "output.geometry=epix.geom"});
  EXPECT_EQ(geometry.wait(), Exit::code(78));
  EXPECT_NE(geometry.err().find("epix.geom"), std::string::npos) << geometry.err();
  EXPECT_EQ(Child::start({program(), "--config", file, "--set", "output.dir=/proc/nowhere"}).wait(), Exit::code(73));
}

TEST_F(WriterProgram, MakesAPictureOfAnEvent) {
  const auto facts = test::sample_facts();
  const auto path = folder_.path() / "a.cxi";
  auto file = must(CxiFile::create(path, facts));
  for (std::uint64_t i = 0; i < 3; ++i) must(file.append(test::sample_event(i), test::sample_image(i, facts)));
  must(file.finish({}));
  auto beside = Child::start({program(), "preview", path});
  EXPECT_EQ(beside.wait(), Exit::code(0)) << beside.err();
  EXPECT_EQ(beside.out(), (folder_.path() / "a_event0.png").string() + "\n");
  auto named = Child::start({program(), "preview", path, "--event", "2", "--out", folder_.path() / "b.png"});
  EXPECT_EQ(named.wait(), Exit::code(0)) << named.err();
  for (const char* picture : {"a_event0.png", "b.png"}) {
    const auto bytes = test::read_all(folder_.path() / picture);
    ASSERT_GT(bytes.size(), 100U);
    EXPECT_EQ(static_cast<char>(bytes[1]), 'P');
  }
  const auto absent = folder_.path() / "c.png";
  auto nowhere =
      Child::start({program(), "preview", path, "--geometry", folder_.path() / "none.geom", "--out", absent});
  EXPECT_EQ(nowhere.wait(), Exit::code(1));
  EXPECT_NE(nowhere.err().find("geometry.not-readable"), std::string::npos) << nowhere.err();
  EXPECT_FALSE(std::filesystem::exists(absent));
  // On a machine without a font, or a home.
  auto bare = Child::start({program(), "preview", path, "--out", absent},
                           {.environment = {"FONTCONFIG_FILE=/nonexistent", "HOME=/nonexistent"}});
  EXPECT_EQ(bare.wait(), Exit::code(0)) << bare.err();
  EXPECT_TRUE(std::filesystem::exists(absent));
  auto beyond = Child::start({program(), "preview", path, "--event", "3"});
  EXPECT_EQ(beyond.wait(), Exit::code(1));
  EXPECT_NE(beyond.err().find("cxi.no-event"), std::string::npos) << beyond.err();
  auto gone = Child::start({program(), "preview", folder_.path() / "gone.cxi"});
  EXPECT_EQ(gone.wait(), Exit::code(1));
  EXPECT_NE(gone.err().find("Try: check the name and who may read it [file.unreadable]"), std::string::npos)
      << gone.err();
  EXPECT_EQ(Child::start({program(), "preview", config_file(stage_.settings(out()))}).wait(), Exit::code(1));
}

// Failing system calls, put under the program by strace, as its -e inject takes them. They must let a recovery through
// now and then (some 40 writes, all good), else the writer rightly tries for ever.
class WriterFaults : public WriterProgram, public ::testing::WithParamInterface<std::pair<const char*, const char*>> {
 protected:
  static bool strace_works() {
    return Child::start({"strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=none", "true"}).wait() == Exit::code(0);
  }
};

TEST_P(WriterFaults, AreWaitedOutAndNothingIsLostOrTwice) {
  if (!strace_works()) GTEST_SKIP() << "strace is not there or may not trace";
  std::vector<std::string> command = {"strace", "-qq", "-f", "-o", "/dev/null"};
  // Where this is built with AddressSanitizer: its look for leaks does not work under strace.
  command.insert(command.end(), {"-E", "LSAN_OPTIONS=detect_leaks=0"});
  std::string calls;
  for (std::string rest = GetParam().second; !rest.empty();) {
    const std::string one = rest.substr(0, rest.find(' '));
    rest = one.size() == rest.size() ? "" : rest.substr(one.size() + 1);
    calls += (calls.empty() ? "" : ",") + one.substr(0, one.find(':'));
    command.insert(command.end(), {"-e", "inject=" + one});
  }
  command.insert(command.end(), {"-e", "trace=" + calls, program(), "--config", config_file(stage_.settings(out()))});
  auto writer = Child::start(command);
  for (std::uint64_t i = 0; i < 60; ++i)
    ASSERT_TRUE(stage_.feed({.number = i}, std::chrono::seconds(60))) << i << writer.err();
  ASSERT_TRUE(stage_.close_files(1, std::chrono::seconds(60))) << writer.err();
  // strace passes the signal on to nobody: the writer itself is asked.
  for (const auto& record : stage_.instance().layout().participants) {
    if (record.role.load() == shm::Role::writer && record.presence.load() == shm::Presence::attached) {
      ::kill(static_cast<pid_t>(record.pid.load()), SIGTERM);
    }
  }
  EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
  EXPECT_NE(writer.err().find("waiting for the disk"), std::string::npos) << "the fault never struck: " << writer.err();
  expect_each_once(60);
}

INSTANTIATE_TEST_SUITE_P(Calls, WriterFaults,
                         ::testing::Values(std::pair("FsyncOfTheImagesOrTheLedger", "fdatasync:error=EIO:when=5+11"),
                                           std::pair("FsyncOfTheFolder", "fsync:error=EIO:when=3+7"),
                                           std::pair("WritesWhereNothingCanBeReserved",
                                                     "fallocate:error=EOPNOTSUPP pwrite64:error=ENOSPC:when=9+61"),
                                           std::pair("WritesOfEveryKind", "pwrite64:error=EIO:when=4+97"),
                                           std::pair("ReservingSpace", "fallocate:error=ENOSPC:when=3..12"),
                                           std::pair("TheLastRename", "renameat2:error=EIO:when=2+5")),
                         [](const auto& which) { return which.param.first; });

}  // namespace
}  // namespace peaknet::writer
