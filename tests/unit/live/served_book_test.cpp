#include "live/served_book.hpp"

#include <gtest/gtest.h>

#include "base/must.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::live {
namespace {

HitKey hit(std::uint64_t number) { return {77, 3, number}; }

class ServedBookTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path() / "p_run1.live.served"; }
  ServedBook open() const { return must(ServedBook::open(path())); }
  test::TempFolder folder_;
};

TEST_F(ServedBookTest, KnowsAfterAStartWhatWasHandedOut) {
  {
    auto book = open();
    must(book.begin(hit(1)));
    must(book.end(hit(1), true));
    must(book.begin(hit(2)));
    must(book.end(hit(2), false));
  }
  const auto book = open();
  EXPECT_TRUE(book.has(hit(1)));
  EXPECT_FALSE(book.has(hit(2)));
  EXPECT_FALSE(book.has({78, 3, 1}));  // of another life of the instance
  EXPECT_FALSE(book.uncertain().has_value());
  EXPECT_EQ(book.size(), 1U);
}

TEST_F(ServedBookTest, NamesTheOneHitThatAKillLeavesInDoubtAndDoesNotOfferItAgain) {
  {
    auto book = open();
    must(book.begin(hit(1)));
    must(book.end(hit(1), true));
    must(book.begin(hit(2)));
  }
  const auto book = open();
  EXPECT_EQ(book.uncertain(), hit(2));
  EXPECT_TRUE(book.has(hit(2)));
}

TEST_F(ServedBookTest, GoesOnBehindATornRecord) {
  {
    auto book = open();
    must(book.begin(hit(1)));
    must(book.end(hit(1), true));
    must(book.begin(hit(2)));
  }
  auto bytes = test::read_all(path());
  bytes.resize(bytes.size() - 5);
  test::write_all(path(), bytes);
  {
    auto book = open();
    EXPECT_FALSE(book.has(hit(2)));
    must(book.begin(hit(3)));
    must(book.end(hit(3), true));
  }
  const auto book = open();
  EXPECT_TRUE(book.has(hit(1)));
  EXPECT_TRUE(book.has(hit(3)));
  EXPECT_EQ(book.damaged_bytes(), 0U);
}

TEST_F(ServedBookTest, IsOneServersAlone) {
  const auto book = open();
  const auto second = ServedBook::open(path());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().id, "live.book-taken");
}

TEST_F(ServedBookTest, IsClosedUntilItsRunHasMore) {
  {
    auto book = open();
    must(book.close_run());
  }
  {
    auto book = open();
    EXPECT_TRUE(book.complete());
    must(book.begin(hit(1)));
    must(book.end(hit(1), true));
  }
  EXPECT_FALSE(open().complete());
}

}  // namespace
}  // namespace peaknet::live
