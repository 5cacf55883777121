// peaknetctl audit, as the shell sees it: the answer, its exit code, and that it needs neither a daemon nor torch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/child.hpp"
#include "tests/unit/writer/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::ctl {
namespace {

using test::Child;
using test::Exit;
using testing::HasSubstr;
using testing::Not;

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
  EXPECT_THAT(good.out(), HasSubstr("in files                      19   in 2 finished files"));
  EXPECT_THAT(good.out(), HasSubstr("filtered                      10"));
  EXPECT_THAT(good.out(), HasSubstr("failed_model                   1"));
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
  EXPECT_THAT(bad.out(), HasSubstr("missing                       10"));
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

TEST(AuditCommand, TheProgramLinksNoTorch) {
  auto linked = Child::start({"ldd", test::bin_dir() + "/peaknetctl"});
  ASSERT_EQ(linked.wait(), Exit::code(0)) << linked.err();
  EXPECT_THAT(linked.out(), HasSubstr("libc.so"));
  EXPECT_THAT(linked.out(), Not(HasSubstr("torch")));
  EXPECT_THAT(linked.out(), Not(HasSubstr("cuda")));
}

}  // namespace
}  // namespace peaknet::ctl
