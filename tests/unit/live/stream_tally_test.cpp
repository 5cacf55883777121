#include "live/stream_tally.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/must.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::live {
namespace {

std::string chunk(const std::string& frame, const std::vector<double>& a_of_crystals) {
  std::string text =
      "----- Begin chunk -----\nImage filename: ZMQdata\nEvent: //0\nImage serial number: 1\nhit = 1\nindexed_by = " +
      std::string(a_of_crystals.empty() ? "none" : "xgandalf-nolatt-cell") + "\n";
  if (!frame.empty()) text += "header/str/frame = " + frame + "\n";
  text += "Peaks from peak search\n  fs/px   ss/px (1/d)/nm^-1   Intensity  Panel\nEnd of peak list\n";
  for (const double a : a_of_crystals) {
    text += "--- Begin crystal\nCell parameters " + std::to_string(a) +
            " 7.90000 3.80000 nm, 90.00000 90.10000 89.90000 deg\n--- End crystal\n";
  }
  return text + "----- End chunk -----\n";
}

class StreamTallyTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path() / "live.stream"; }
  void append(const std::string& text) const { std::ofstream(path(), std::ios::app) << text; }
  test::TempFolder folder_;
};

TEST_F(StreamTallyTest, CountsFramesIndexedFramesAndCrystalsByRun) {
  append("CrystFEL stream format 2.3\n");
  append(chunk("run 0217 producer 3 frame 1", {}) + chunk("run 0217 producer 3 frame 2", {7.8, 8.0}) +
         chunk("run 0218 producer 3 frame 3", {7.9}) + chunk("", {}));
  StreamTally tally(path());
  must(tally.look());
  ASSERT_EQ(tally.runs().size(), 3U);
  const RunTally& run = tally.runs().at("0217");
  EXPECT_EQ(run.frames, 2U);
  EXPECT_EQ(run.indexed, 1U);
  EXPECT_EQ(run.crystals, 2U);
  EXPECT_EQ(run.cell[0].count(), 2U);
  EXPECT_NEAR(run.cell[0].mean(), 7.9, 1e-9);
  EXPECT_NEAR(run.cell[0].deviation(), 0.1414, 1e-4);
  EXPECT_NEAR(run.cell[4].mean(), 90.1, 1e-9);
  EXPECT_EQ(tally.runs().at("0218").indexed, 1U);
  EXPECT_EQ(tally.runs().at("").frames, 1U);
}

TEST_F(StreamTallyTest, CountsTheSameHoweverTheStreamGrows) {
  const std::string all = chunk("run 1 producer 3 frame 2", {7.8, 8.0}) + chunk("run 1 producer 3 frame 3", {});
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
    std::filesystem::remove(path());
    StreamTally tally(path());
    must(tally.look());
    for (std::size_t at = 0; at < all.size(); at += piece) {
      append(all.substr(at, piece));
      must(tally.look());
    }
    EXPECT_EQ(tally.runs().at("1").frames, 2U) << piece;
    EXPECT_EQ(tally.runs().at("1").crystals, 2U) << piece;
  }
}

TEST_F(StreamTallyTest, SumsSeveralStreamsAsIfTheyWereOne) {
  const std::vector<double> all = {7.1, 7.9, 8.3, 7.7};
  append(chunk("run 1 producer 3 frame 2", all));
  std::vector<StreamTally> one(1, StreamTally(path()));
  must(one.front().look());
  std::vector<StreamTally> two;
  for (const auto& [name, values] :
       {std::pair{"a.stream", std::vector{7.1}}, std::pair{"b.stream", std::vector{7.9, 8.3, 7.7}}}) {
    std::ofstream(folder_.path() / name) << chunk("run 1 producer 3 frame 2", values);
    two.emplace_back(folder_.path() / name);
    must(two.back().look());
  }
  const auto whole = sum_of(one).at("1");
  const auto summed = sum_of(two).at("1");
  EXPECT_EQ(summed.crystals, whole.crystals);
  EXPECT_EQ(summed.frames, 2U);
  EXPECT_NEAR(summed.cell[0].mean(), whole.cell[0].mean(), 1e-12);
  EXPECT_NEAR(summed.cell[0].deviation(), whole.cell[0].deviation(), 1e-12);
}

TEST_F(StreamTallyTest, CountsAnewAStreamThatWasBegunAnew) {
  append(chunk("run 1 producer 3 frame 2", {7.8}) + chunk("run 1 producer 3 frame 3", {7.8}));
  StreamTally tally(path());
  must(tally.look());
  std::filesystem::remove(path());
  append(chunk("run 2 producer 3 frame 2", {}));
  must(tally.look());
  EXPECT_EQ(tally.runs().size(), 1U);
  EXPECT_EQ(tally.runs().at("2").frames, 1U);
}

TEST_F(StreamTallyTest, DoesNotCountAChunkThatIsNotWhole) {
  const std::string whole = chunk("run 1 producer 3 frame 2", {7.8});
  append(whole + whole.substr(0, whole.size() - 10));
  StreamTally tally(path());
  must(tally.look());
  EXPECT_EQ(tally.runs().at("1").frames, 1U);
}

}  // namespace
}  // namespace peaknet::live
