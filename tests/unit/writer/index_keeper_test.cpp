#include "writer/index_keeper.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/writer/cxi/samples.hpp"
#include "writer/cxi/posix_file.hpp"
#include "writer/cxi/reader.hpp"

namespace peaknet::writer {
namespace {

using test::finish_file;
using test::must;

class IndexKeeperTest : public ::testing::Test {
 protected:
  std::string list() const {
    std::ifstream file(folder_.path() / "p_run1.lst");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::size_t events_of_master() const { return must(CxiReader::open(folder_.path() / "p_run1_master.cxi")).events(); }
  test::TempFolder folder_;
};

TEST_F(IndexKeeperTest, TheFilesAreInTheListAndTheMasterWhenAllIsMade) {
  const auto before = finish_file(folder_.path(), "1", 0, 0, 2);  // by a writer that was killed before it had a list
  IndexKeeper keeper(folder_.path(), "p");
  const auto a = finish_file(folder_.path(), "1", 1, 2, 2), b = finish_file(folder_.path(), "1", 2, 4, 2);
  keeper.file_finished(b);
  keeper.file_finished(a);
  keeper.make_all();
  EXPECT_EQ(list(), before.string() + "\n" + a.string() + "\n" + b.string() + "\n");
  EXPECT_EQ(events_of_master(), 6U);
  keeper.make_all();  // nothing to do
  EXPECT_EQ(events_of_master(), 6U);
}

TEST_F(IndexKeeperTest, NobodyWaitsForItButWhoAsksForAll) {
  const auto a = finish_file(folder_.path(), "1", 0, 0, 2);
  auto other = must(PosixFile::open(folder_.path(), O_RDONLY | O_DIRECTORY));
  ASSERT_TRUE(must(other.try_lock())) << "another writer is at its master";
  IndexKeeper keeper(folder_.path(), "p");
  keeper.file_finished(a);
  EXPECT_EQ(list(), "");
  std::jthread all([&] { keeper.make_all(); });
  other.close();
  all.join();
  EXPECT_EQ(list(), a.string() + "\n");
  EXPECT_EQ(events_of_master(), 2U);
}

TEST_F(IndexKeeperTest, AListAndAMasterComeByThemselves) {
  IndexKeeper keeper(folder_.path(), "p");
  keeper.make_all();  // it has looked at the folder
  const auto a = finish_file(folder_.path(), "1", 0, 0, 2);
  keeper.file_finished(a);
  EXPECT_TRUE(test::eventually([&] { return list() == a.string() + "\n"; }));
  const auto b = finish_file(folder_.path(), "1", 1, 2, 2);
  keeper.file_finished(b);
  EXPECT_TRUE(test::eventually([&] { return list() == a.string() + "\n" + b.string() + "\n"; }));
  const auto shown = [&] {
    const auto master = CxiReader::open(folder_.path() / "p_run1_master.cxi");
    return master && master->events() == 4;
  };
  EXPECT_TRUE(test::eventually(shown)) << "though the run goes on";
}

TEST_F(IndexKeeperTest, AFolderThatIsGoneHoldsNobodyUpAndIsTriedAgain) {
  const auto gone = folder_.path() / "gone", there = folder_.path() / "there";
  std::filesystem::create_directory(there);
  IndexKeeper keeper(gone, "p");
  const auto a = finish_file(there, "1", 0, 0, 2);
  keeper.file_finished(gone / a.filename());
  keeper.make_all();
  std::filesystem::rename(there, gone);
  keeper.make_all();
  EXPECT_TRUE(std::filesystem::exists(gone / "p_run1.lst"));
  EXPECT_EQ(must(CxiReader::open(gone / "p_run1_master.cxi")).events(), 2U);
}

TEST_F(IndexKeeperTest, AnyThreadMayTellItOfFiles) {
  IndexKeeper keeper(folder_.path(), "p");
  std::vector<std::filesystem::path> paths;
  for (int chunk = 0; chunk < 8; ++chunk) paths.push_back(finish_file(folder_.path(), "1", chunk, 0, 1));
  {
    std::vector<std::jthread> threads;
    for (const auto& path : paths)
      threads.emplace_back([&] {
        keeper.file_finished(path);
        keeper.make_all();
      });
  }
  EXPECT_EQ(events_of_master(), 8U);
}

}  // namespace
}  // namespace peaknet::writer
