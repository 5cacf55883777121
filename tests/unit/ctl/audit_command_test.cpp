// peaknetctl audit, as the shell sees it: the answer, its exit code, and that it needs no daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::ctl {
namespace {

using test::Child;
using test::Exit;
using testing::HasSubstr;

Child ctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), test::bin_dir() + "/peaknetctl");
  return Child::start(arguments);
}

TEST(AuditCommand, SaysThatEveryFrameHasEndedOrWhichHasNot) {
  test::TempFolder folder;
  {
    test::Stage stage;
    test::WriterThread writer(stage.settings(folder.path()));
    for (std::uint64_t i = 0; i < 30; ++i)
      ASSERT_TRUE(stage.feed({.number = i, .peaks = i % 3 == 0 ? 2U : 12U, .model_error = i == 7}));
    ASSERT_TRUE(stage.close_files());
    writer.stop();
  }
  auto good = ctl({"audit", folder.path()});
  EXPECT_EQ(good.wait(), Exit::code(0)) << good.out() << good.err();
  EXPECT_THAT(good.out(), HasSubstr("in files                        19   in 2 finished files"));
  EXPECT_THAT(good.out(), HasSubstr("filtered                        10   too few peaks"));
  EXPECT_THAT(good.out(), HasSubstr("failed_model                     1"));
  EXPECT_THAT(good.out(), HasSubstr("proved: "));
  auto as_json = ctl({"--json", "audit", folder.path(), "--quick"});
  EXPECT_EQ(as_json.wait(), Exit::code(0));
  const auto document = nlohmann::json::parse(as_json.out());
  EXPECT_EQ(document.at("schema"), "peaknet.audit/1");
  EXPECT_EQ(document.at("proved"), true);
  EXPECT_EQ(document.at("instances").at(0).at("in_files"), 19);
  EXPECT_EQ(document.at("instances").at(0).at("books").at("totals").at("committed"), 30);

  std::filesystem::remove(test::finished_files(folder.path()).front());
  auto bad = ctl({"audit", folder.path()});
  EXPECT_EQ(bad.wait(), Exit::code(1));
  EXPECT_THAT(bad.out(), HasSubstr("missing                         10"));
  EXPECT_THAT(bad.out(), HasSubstr("frames 1 to 2"));
  EXPECT_THAT(bad.out(), HasSubstr("[audit.missing]"));
  EXPECT_THAT(bad.out(), HasSubstr("not proved"));
}

TEST(AuditCommand, AFolderThatIsNotThereAndOneWithNothingOfOursAreFailures) {
  test::TempFolder folder;
  auto gone = ctl({"audit", folder.path() / "gone"});
  EXPECT_EQ(gone.wait(), Exit::code(1));
  EXPECT_THAT(gone.err(), HasSubstr("[output.folder-missing]"));
  auto empty = ctl({"audit", folder.path()});
  EXPECT_EQ(empty.wait(), Exit::code(1));
  EXPECT_THAT(empty.out(), HasSubstr("[audit.nothing]"));
  EXPECT_EQ(ctl({"audit"}).wait(), Exit::code(2));
}

// peaknetctl alone, as where half of the package was copied or removed.
std::string alone_in(const std::filesystem::path& folder) {
  std::filesystem::create_directory(folder / "bin");
  std::filesystem::copy_file(test::bin_dir() + "/peaknetctl", folder / "bin/peaknetctl");
  return folder / "bin/peaknetctl";
}

TEST(AuditCommand, WithoutTheProgramThatReadsFilesItSaysWhichIsMissingAndWhere) {
  test::TempFolder folder;
  const std::string program = alone_in(folder.path());
  const std::string part = std::filesystem::canonical(folder.path()) / "libexec/peaknet/peaknetctl-files";
  for (const auto& words : {std::vector<std::string>{"audit", "."}, {"trace", "1:2", "."}}) {
    std::vector<std::string> command = {program};
    command.insert(command.end(), words.begin(), words.end());
    auto missing = Child::start(command);
    EXPECT_EQ(missing.wait(), Exit::code(1));
    EXPECT_EQ(missing.out(), "");
    EXPECT_THAT(missing.err(), HasSubstr("cannot start " + part + ", "));
    EXPECT_THAT(missing.err(), HasSubstr("No such file or directory"));
    EXPECT_THAT(missing.err(), HasSubstr("install the package peaknetctl again"));
  }
  EXPECT_EQ(Child::start({program, "--help"}).wait(), Exit::code(0));  // all else works
}

TEST(AuditCommand, AProgramThatReadsFilesAndMayNotBeStartedIsAnErrorInJsonToo) {
  test::TempFolder folder;
  const std::string program = alone_in(folder.path());
  std::filesystem::create_directories(folder.path() / "libexec/peaknet");
  std::ofstream(folder.path() / "libexec/peaknet/peaknetctl-files") << "no program";
  auto refused = Child::start({program, "--json", "audit", "."});
  EXPECT_EQ(refused.wait(), Exit::code(1));
  const auto document = nlohmann::json::parse(refused.out());
  EXPECT_EQ(document.at("schema"), "peaknet.error/1");
  EXPECT_EQ(document.at("error").at("id"), "cli.part-missing");
  EXPECT_THAT(document.at("error").at("what").get<std::string>(), HasSubstr("Permission denied"));
}

TEST(AuditCommand, StartedThroughALinkItFindsItsPart) {
  test::TempFolder folder;
  std::filesystem::create_symlink(test::bin_dir() + "/peaknetctl", folder.path() / "ctl");
  auto linked = Child::start({folder.path() / "ctl", "audit", folder.path()});
  EXPECT_EQ(linked.wait(), Exit::code(1));
  EXPECT_THAT(linked.out(), HasSubstr("[audit.nothing]"));
}

}  // namespace
}  // namespace peaknet::ctl
