#include "cxi/file_name.hpp"

#include <gtest/gtest.h>

namespace peaknet::writer {
namespace {

TEST(FileName, IsReadAsItWasMade) {
  const FileName made{
      .stem = "a_runb_run-1_x", .time = file_time(1'790'000'000'000'007'000), .writer = 31, .chunk = 12345};
  EXPECT_EQ(made.text(), "a_runb_run-1_x_chunk12345_20260921_141320_000007_w31.cxi");
  const auto read = parse_file_name(made.text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->stem, made.stem);
  EXPECT_EQ(read->time, made.time);
  EXPECT_EQ(read->writer, 31U);
  EXPECT_EQ(read->chunk, 12345U);
}

TEST(FileName, NamesOfVersionsBeforeAreKnown) {
  const auto read = parse_file_name("peaknet_run0217_20261121_101500_000001_w3_chunk0004.cxi");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->stem, "peaknet_run0217");
  EXPECT_EQ(read->time, "20261121_101500_000001");
  EXPECT_EQ(read->writer, 3U);
  EXPECT_EQ(read->chunk, 4U);
}

TEST(FileName, OtherNamesAreNotOurs) {
  for (const char* other :
       {"peaknet_run0217_master.cxi", "peaknet_run0217_chunk0000_20261121_101500_000001_w3.cxi.part", "x.cxi",
        "chunk0000_20261121_101500_000001_w3.cxi", "_run7_chunk0000_20261121_101500_000001_w3.cxi",
        "p_run_chunk0000_20261121_101500_000001_w3.cxi", "p_run7_chunk0000_2026112_101500_000001_w3.cxi",
        "p_run7_chunk0000_20261121_101500_0000010_w3.cxi", "p_run7_chunk0000_20261121_101500_000001_w.cxi",
        "p_run7_chunk000_20261121_101500_000001_w3.cxi", "p_run7_chunk_20261121_101500_000001_w3.cxi",
        "p_run7_chunk99999999999999999999999_20261121_101500_000001_w3.cxi",
        "p_run_20261121_101500_000001_w3_chunk0000.cxi", "p_run7_20261121_101500_000001_w_chunk0000.cxi"})
    EXPECT_FALSE(parse_file_name(other)) << other;
}

TEST(FileName, FilesAreInOrderOfTimeThenWriterThenChunk) {
  const FilesInTime files = {
      "p_run7_chunk0000_20261121_101500_000002_w4.cxi", "p_run7_chunk10000_20261121_101500_000001_w3.cxi",
      "p_run7_chunk9999_20261121_101500_000001_w3.cxi", "p_run7_chunk0000_20261121_101500_000001_w10.cxi",
      "p_run7_20261121_101459_000001_w3_chunk0009.cxi"};
  EXPECT_EQ(std::vector<std::string>(files.begin(), files.end()),
            (std::vector<std::string>{
                "p_run7_20261121_101459_000001_w3_chunk0009.cxi", "p_run7_chunk9999_20261121_101500_000001_w3.cxi",
                "p_run7_chunk10000_20261121_101500_000001_w3.cxi", "p_run7_chunk0000_20261121_101500_000001_w10.cxi",
                "p_run7_chunk0000_20261121_101500_000002_w4.cxi"}));
}

}  // namespace
}  // namespace peaknet::writer
