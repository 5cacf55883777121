#include "ctl/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/columns.hpp"

namespace peaknet::ctl {
namespace {

Table files() {
  Table table({{"WRITER", true, 0, 6}, {"PID", false, 2}, {"HELD", false, 1}, {"FILE", true, 3, 10}});
  table.add({"peaknet-writer", "21920", "30", "mfx_run0217_20261121_chunk0002.cxi"});
  table.add({"w", "7", "1 000 000 000 000", "-"}, "WAITING FOR DISK: only 3 B are free on this file system");
  return table;
}

TEST(Table, is_as_wide_as_its_cells_where_there_is_room) {
  EXPECT_EQ(files().str(120),
            "WRITER            PID               HELD  FILE\n"
            "peaknet-writer  21920                 30  mfx_run0217_20261121_chunk0002.cxi\n"
            "w                   7  1 000 000 000 000  -\n"
            "  WAITING FOR DISK: only 3 B are free on this file system\n");
}

TEST(Table, shortens_texts_first_and_then_leaves_out_what_matters_least) {
  EXPECT_EQ(files().str(60),
            "WRITER            PID               HELD  FILE\n"
            "peaknet-writer  21920                 30  mfx_run0..0002.cxi\n"
            "w                   7  1 000 000 000 000  -\n"
            "  WAITING FOR DISK: only 3 B are free on this file system\n");
  EXPECT_THAT(files().str(40), testing::StartsWith("WRITER            PID               HELD\n")) << "no FILE";
  EXPECT_THAT(files().str(28), testing::StartsWith("WRITER                  HELD\n")) << "no PID";
}

TEST(Table, no_line_is_longer_than_the_terminal) {
  for (std::size_t width = 1; width < 130; ++width) {
    std::istringstream lines(files().str(width));
    for (std::string line; std::getline(lines, line);) {
      if (line.find(' ') == std::string::npos || line.starts_with("  ")) continue;  // a word alone stays whole
      EXPECT_LE(columns_of(line), width) << line;
    }
  }
}

TEST(Table, of_many_rows_the_rest_is_counted) {
  Table table({{"N"}});
  for (int i = 0; i < 10; ++i) table.add({std::to_string(i)});
  EXPECT_EQ(table.str(80, 4), "N\n0\n1\n2\nand 7 more\n");
  EXPECT_EQ(table.str(80, 10), "N\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

TEST(Labelled, items_go_into_as_many_lines_as_it_takes) {
  EXPECT_EQ(labelled("frames", {"committed 12", "inferred 12", "in flight 0"}, 80),
            "frames   committed 12   inferred 12   in flight 0\n");
  EXPECT_EQ(labelled("frames", {"committed 12", "inferred 12", "in flight 0"}, 40),
            "frames   committed 12   inferred 12\n         in flight 0\n");
  for (std::size_t width = 20; width < 80; ++width) {
    std::istringstream lines(labelled("health", {"FAILING: no slot has been free for a while", "b"}, width));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(columns_of(line), width) << line;
  }
}

}  // namespace
}  // namespace peaknet::ctl
