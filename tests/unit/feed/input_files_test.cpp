#include "feed/input_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/instance.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::must;
using ::testing::ElementsAre;

TEST(InputFiles, NumbersInNamesAreNumbers) {
  const std::vector<std::string> sorted = {"",
                                           "a",
                                           "a1",
                                           "a01",
                                           "a2",
                                           "a2b",
                                           "a10",
                                           "a10_9",
                                           "a10_10",
                                           "b0",
                                           "b99999999999999999999998",
                                           "b99999999999999999999999",
                                           "c"};
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    for (std::size_t k = 0; k < sorted.size(); ++k) {
      if (sorted[i] == "a01" || sorted[k] == "a01") continue;
      EXPECT_EQ(natural_less(sorted[i], sorted[k]), i < k) << sorted[i] << " " << sorted[k];
    }
  }
  EXPECT_NE(natural_less("a1", "a01"), natural_less("a01", "a1"));  // an order, even of these two
}

std::vector<std::string> paths(const std::vector<std::string>& arguments) {
  std::vector<std::string> found;
  for (const InputFile& file : must(input_files(arguments))) found.push_back(file.path);
  return found;
}

TEST(InputFiles, FoldersAndListsStandForTheirFiles) {
  const auto folder = test::temporary_file("files of a run");
  std::filesystem::create_directories(folder + "/inner");
  for (const char* name : {"x_r2_10.npz", "x_r2_9.npz", "x_r10_0.npz", ".hidden", "x.lst", "x_r2_11.npz.part"})
    std::ofstream(folder + "/" + name);
  const auto list = test::temporary_file("some.lst");
  const auto inside = [&](const std::string& name) { return folder + "/" + name; };
  std::ofstream(list) << "files of a run/x_r10_0.npz\r\n\n" << inside("x_r2_9.npz") << "\n";
  EXPECT_THAT(paths({"one.cxi", folder, list}),
              ElementsAre("one.cxi", inside("x_r2_9.npz"), inside("x_r2_10.npz"), inside("x_r10_0.npz"),
                          inside("x_r10_0.npz"), inside("x_r2_9.npz")));
  EXPECT_EQ(input_files({folder + "/inner"}).error().id, "input.empty");
  EXPECT_EQ(input_files({"no/such.lst"}).error().id, "input.absent");
}

TEST(InputFiles, AListOfARecordingSaysWhenEachMessageCame) {
  const auto list = test::temporary_file("recorded.lst");
  std::ofstream(list) << "a_r0_0.npz\t1700000000000000001\na_r0_1.npz\n";
  const auto files = must(input_files({list}));
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].received_ns, 1'700'000'000'000'000'001);
  EXPECT_EQ(files[1].received_ns, std::nullopt);
  std::ofstream(list) << "a_r0_0.npz\tyesterday\n";
  EXPECT_EQ(input_files({list}).error().id, "input.list");
}

// What CrystFEL's list_events writes, and what editors do to lists.
TEST(InputFiles, AListMayNameEventsAndHaveCommentsAndAByteOrderMark) {
  const std::filesystem::path folder = test::temporary_file("events");
  std::filesystem::create_directories(folder);
  for (const char* name : {"a.cxi", "b c.cxi"}) std::ofstream(folder / name) << "x";
  std::ofstream(folder / "events.lst") << "\xef\xbb\xbf# hits\r\na.cxi //0\r\na.cxi //2\nb c.cxi //7\nb c.cxi\n";
  const auto files = must(input_files({(folder / "events.lst").string()}));
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].path, (folder / "a.cxi").string());
  EXPECT_THAT(files[0].events, ElementsAre(0, 2));
  EXPECT_EQ(files[1].path, (folder / "b c.cxi").string());
  EXPECT_THAT(files[1].events, ElementsAre(7));
  EXPECT_TRUE(files[2].events.empty());
  std::ofstream(folder / "bad.lst") << "a.cxi //panel\n";
  EXPECT_EQ(input_files({(folder / "bad.lst").string()}).error().id, "input.list");
}

TEST(InputFiles, ANameWithAZeroByteInItIsRefusedAndNotCutThere) {
  const std::filesystem::path folder = test::temporary_file("zero_byte");
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.cxi") << "x";
  std::ofstream(folder / "zero.lst") << std::string("a.cxi\0.part\n", 12);
  EXPECT_EQ(input_files({(folder / "zero.lst").string()}).error().id, "input.list");
}

TEST(InputFiles, AnEventWithoutANumberIsTheOnlyOneAndANumberThatIsTooLargeIsNone) {
  const std::filesystem::path folder = test::temporary_file("only_event");
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "only.lst") << "a.cxi //\na.cxi //3\n";
  const auto files = must(input_files({(folder / "only.lst").string()}));
  ASSERT_EQ(files.size(), 2U);
  EXPECT_TRUE(files[0].only_event);
  EXPECT_FALSE(files[1].only_event);
  std::ofstream(folder / "large.lst") << "a.cxi //99999999999999999999\n";
  EXPECT_EQ(input_files({(folder / "large.lst").string()}).error().id, "input.list");
}

// It leads to a disk that is not mounted, or to what was cleared away.
TEST(InputFiles, ALinkThatLeadsNowhereIsNotLeftOutOfAFolder) {
  const std::filesystem::path folder = test::temporary_file("dead_link");
  std::filesystem::create_directories(folder / "below");
  std::ofstream(folder / "a.h5") << "x";
  std::filesystem::create_symlink("/nowhere/b.h5", folder / "b.h5");
  std::filesystem::create_symlink("ring.h5", folder / "ring.h5");
  std::filesystem::create_directory_symlink(folder / "below", folder / "other");
  std::vector<std::string> names;
  for (const auto& file : must(input_files({folder.string()})))
    names.push_back(std::filesystem::path(file.path).filename().string());
  EXPECT_THAT(names, ElementsAre("a.h5", "b.h5", "ring.h5"));
}

TEST(InputFiles, AListThatIsADeviceIsNotReadWithoutEnd) {
  const auto list = test::temporary_file("zeros.lst");
  std::filesystem::remove(list);
  std::filesystem::create_symlink("/dev/zero", list);
  EXPECT_EQ(input_files({list}).error().id, "input.absent");
}

TEST(InputFiles, OfAMasterAndTheFilesThatItShowsOneIsPlayed) {
  const std::filesystem::path folder = test::temporary_file("masters");
  std::filesystem::create_directories(folder);
  for (const char* name : {"t_run1.lst", "t_run1_2026_chunk0000.cxi", "t_run1_2026_chunk0001.cxi", "t_run1_master.cxi",
                           "t_w3.frames", "lyso_master.h5", "lyso_data_000001.h5", "alone_master.cxi"})
    std::ofstream(folder / name) << "x";
  std::vector<std::string> names;
  for (const auto& file : must(input_files({folder.string()})))
    names.push_back(std::filesystem::path(file.path).filename().string());
  EXPECT_THAT(names, ElementsAre("alone_master.cxi", "lyso_master.h5", "t_run1_2026_chunk0000.cxi",
                                 "t_run1_2026_chunk0001.cxi"));
}

}  // namespace
}  // namespace peaknet::feed
