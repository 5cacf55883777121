#include "writer/index_thread.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cxi/posix_file.hpp"
#include "cxi/reader.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::finish_file;
using test::must;

class IndexThreadTest : public ::testing::Test {
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

TEST_F(IndexThreadTest, TheFilesAreInTheListAndTheMasterWhenAllIsMade) {
  const auto before = finish_file(folder_.path(), "1", 0, 0, 2);  // by a writer that was killed before it had a list
  IndexThread index_thread(folder_.path(), "p");
  const auto a = finish_file(folder_.path(), "1", 1, 2, 2), b = finish_file(folder_.path(), "1", 2, 4, 2);
  index_thread.file_finished(b);
  index_thread.file_finished(a);
  index_thread.make_all();
  EXPECT_EQ(list(), before.string() + "\n" + a.string() + "\n" + b.string() + "\n");
  EXPECT_EQ(events_of_master(), 6U);
  index_thread.make_all();  // nothing to do
  EXPECT_EQ(events_of_master(), 6U);
}

TEST_F(IndexThreadTest, NobodyWaitsForItButWhoAsksForAll) {
  const auto a = finish_file(folder_.path(), "1", 0, 0, 2);
  auto other = must(PosixFile::open(folder_.path(), O_RDONLY | O_DIRECTORY));
  ASSERT_TRUE(must(other.try_lock())) << "another writer is at its master";
  IndexThread index_thread(folder_.path(), "p");
  index_thread.file_finished(a);
  EXPECT_EQ(list(), "");
  std::jthread all([&] { index_thread.make_all(); });
  other.close();
  all.join();
  EXPECT_EQ(list(), a.string() + "\n");
  EXPECT_EQ(events_of_master(), 2U);
}

TEST_F(IndexThreadTest, AListAndAMasterComeByThemselves) {
  IndexThread index_thread(folder_.path(), "p");
  index_thread.make_all();  // it has looked at the folder
  const auto a = finish_file(folder_.path(), "1", 0, 0, 2);
  index_thread.file_finished(a);
  EXPECT_TRUE(test::eventually([&] { return list() == a.string() + "\n"; }));
  const auto b = finish_file(folder_.path(), "1", 1, 2, 2);
  index_thread.file_finished(b);
  EXPECT_TRUE(test::eventually([&] { return list() == a.string() + "\n" + b.string() + "\n"; }));
  const auto shown = [&] {
    const auto master = CxiReader::open(folder_.path() / "p_run1_master.cxi");
    return master && master->events() == 4;
  };
  EXPECT_TRUE(test::eventually(shown)) << "though the run goes on";
}

TEST_F(IndexThreadTest, AFolderThatIsGoneHoldsNobodyUpAndIsTriedAgain) {
  const auto gone = folder_.path() / "gone", there = folder_.path() / "there";
  std::filesystem::create_directory(there);
  IndexThread index_thread(gone, "p");
  const auto a = finish_file(there, "1", 0, 0, 2);
  index_thread.file_finished(gone / a.filename());
  index_thread.make_all();
  std::filesystem::rename(there, gone);
  index_thread.make_all();
  EXPECT_TRUE(std::filesystem::exists(gone / "p_run1.lst"));
  EXPECT_EQ(must(CxiReader::open(gone / "p_run1_master.cxi")).events(), 2U);
}

TEST_F(IndexThreadTest, AnyThreadMayTellItOfFiles) {
  IndexThread index_thread(folder_.path(), "p");
  std::vector<std::filesystem::path> paths;
  for (int chunk = 0; chunk < 8; ++chunk) paths.push_back(finish_file(folder_.path(), "1", chunk, 0, 1));
  {
    std::vector<std::jthread> threads;
    for (const auto& path : paths)
      threads.emplace_back([&] {
        index_thread.file_finished(path);
        index_thread.make_all();
      });
  }
  EXPECT_EQ(events_of_master(), 8U);
}

}  // namespace
}  // namespace peaknet::writer
