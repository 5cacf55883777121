#include "shm/shared_text.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace peaknet::shm {
namespace {

TEST(SharedText, text_comes_back_and_long_text_is_cut) {
  SharedText<16> text;
  EXPECT_EQ(text.load(), "");
  text.store("hello");
  EXPECT_EQ(text.load(), "hello");
  text.store("0123456789abcdefghi");
  EXPECT_EQ(text.load(), "0123456789abcde");
  text.store("");
  EXPECT_EQ(text.load(), "");
}

TEST(SharedText, a_reader_never_sees_two_texts_mixed) {
  SharedText<64> text;
  text.store(std::string(40, 'a'));
  std::atomic<int> reads{0};
  // Two stores for each read: a writer that stores all the time would wear the reader's bounded patience out.
  std::jthread writer([&](const std::stop_token& stop) {
    for (int seen = -1; !stop.stop_requested();) {
      if (reads == seen) {
        std::this_thread::yield();
        continue;
      }
      seen = reads;
      text.store(std::string(50, 'b'));
      text.store(std::string(40, 'a'));
    }
  });
  int given_up = 0;
  for (int i = 0; i < 20000; ++i) {
    ++reads;
    const auto seen = text.load_whole();
    if (!seen) {
      ++given_up;  // the writer was put to sleep in the middle of a store
      continue;
    }
    ASSERT_TRUE(*seen == std::string(40, 'a') || *seen == std::string(50, 'b')) << *seen;
  }
  EXPECT_LT(given_up, 10000);
}

TEST(SharedText, what_a_dead_writer_left_half_done_is_repaired_by_the_next) {
  SharedText<16> text;
  text.store("old");
  // The writer dies after its first store: the version (the first 8 bytes) stays odd.
  reinterpret_cast<std::atomic<std::uint64_t>*>(&text)->fetch_or(1);
  EXPECT_EQ(text.load(), "old") << "a reader gets what is there and does not hang";
  EXPECT_FALSE(text.load_whole()) << "and nothing, if it wants no text that may be of two";
  text.store("new");
  EXPECT_EQ(text.load(), "new");
  EXPECT_EQ(text.load_whole(), "new");
  EXPECT_EQ(reinterpret_cast<std::atomic<std::uint64_t>*>(&text)->load() % 2, 0U);
}

}  // namespace
}  // namespace peaknet::shm
