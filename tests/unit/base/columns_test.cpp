#include "base/columns.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "base/progress_line.hpp"
#include "base/terminal.hpp"
#include "tests/support/child.hpp"

namespace peaknet {
namespace {

TEST(Columns, are_counted_as_a_terminal_shows_them) {
  EXPECT_EQ(columns_of("abc"), 3U);
  EXPECT_EQ(columns_of("\xc3\xa9t\xc3\xa9"), 3U);         // two letters of two bytes
  EXPECT_EQ(columns_of("e\xcc\x81"), 1U);                 // a combining accent
  EXPECT_EQ(columns_of("\xe6\xa4\x9c\xe5\x87\xba"), 4U);  // two wide characters
}

TEST(Columns, what_is_no_text_does_not_reach_the_terminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc"), "a?[2Jb?c");
  EXPECT_EQ(printable("\xff\xc3"), "??");  // no UTF-8, and a character cut short
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a?b");  // turns the direction of writing
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(ascii("\xc3\xa9-\xe6\xa4\x9c\nx"), "?-??\nx");
}

TEST(Columns, a_long_text_keeps_its_beginning_and_its_end) {
  EXPECT_EQ(shortened("mfx.cxi", 20), "mfx.cxi");
  EXPECT_EQ(shortened("mfx_run0217_20261121_chunk0002.cxi", 16), "mfx_run..002.cxi");
  for (std::size_t columns = 0; columns < 12; ++columns) {
    EXPECT_LE(columns_of(shortened("mfx_run0217_chunk0002.cxi", columns)), columns);
    EXPECT_LE(columns_of(shortened("\xe6\xa4\x9c\xe5\x87\xba\xe6\xa4\x9c\xe5\x87\xba\xe6\xa4\x9c", columns)), columns);
    EXPECT_LE(columns_of(clipped("\xe6\xa4\x9c\xe5\x87\xba", columns)), columns);
  }
}

TEST(Columns, lines_break_between_words) {
  EXPECT_EQ(wrapped("one two three", 8), "one two\nthree");
  EXPECT_EQ(wrapped("one two three", 9, 2, 5), "one\n  two\n  three");
  EXPECT_EQ(wrapped("a   b", 80), "a   b");
  EXPECT_EQ(wrapped("  a long line", 9, 4), "  a long\n    line");
  EXPECT_EQ(wrapped("", 10), "");
  EXPECT_EQ(wrapped("a\nb", 10, 2), "a\n  b");
}

TEST(Columns, a_path_that_is_longer_than_a_line_stays_whole) {
  const std::string path = "/data/" + std::string(100, 'x');
  EXPECT_EQ(wrapped("cannot write " + path + " now", 40, 2), "cannot write\n  " + path + "\n  now");
}

TEST(Columns, no_line_is_longer_than_asked_for) {
  const std::string text = "the quick brown fox jumps over the lazy dog and then some more of it";
  for (std::size_t columns = 6; columns < 80; ++columns) {
    std::istringstream lines(wrapped(text, columns, 1, 2));
    std::string line;
    std::getline(lines, line);
    EXPECT_LE(line.size() + 2, columns);
    while (std::getline(lines, line)) EXPECT_LE(line.size(), columns);
  }
}

TEST(Terminal, a_pipe_is_as_wide_as_the_environment_says) {
  const auto columns_with = [](const char* value) {
    return test::Child::run([value] {
             ::setenv("COLUMNS", value, 1);
             const Terminal pipe = Terminal::of(-1);
             return pipe.there || pipe.colour || pipe.moves ? 255 : static_cast<int>(pipe.columns);
           })
        .wait();
  };
  EXPECT_EQ(columns_with("132"), test::Exit::code(132));
  for (const char* odd : {"", "x", "-5", "3", "99999999999", "80 "})
    EXPECT_EQ(columns_with(odd), test::Exit::code(80)) << odd;
}

TEST(ProgressBar, shows_the_share_that_is_done) {
  EXPECT_EQ(progress_bar(9, 20), "[#########-----------]  45 %");
  EXPECT_EQ(progress_bar(30, 20), "[####################] 100 %");
}

}  // namespace
}  // namespace peaknet
