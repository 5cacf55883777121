#include "hits/event_builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

class ExamineTest : public ::testing::Test {
 protected:
  shm::HeldFrame take() {
    auto taken = consumer_->take(1);
    if (taken.frames.size() != 1) throw std::runtime_error("no frame in Q2");
    return std::move(taken.frames.front());
  }
  static config::Config::Peaks settings(std::uint32_t least, std::uint32_t most) {
    return {.min_num_peak = least, .max_num_peak = most};
  }

  test::Stage stage_;
  std::unique_ptr<shm::Consumer> consumer_ = stage_.instance().consumer(shm::Queue::q2);
};

TEST_F(ExamineTest, AHitBecomesAnEventWithAllThatIsKnownOfIt) {
  stage_.set_run("0007");
  stage_.feed(
      {.number = 0, .peaks = 12, .photon_energy_ev = 9123.0, .timestamp = 5, .fiducial = 0, .encoder_value = -572.5});
  const auto verdict = EventBuilder(settings(5, 100)).examine(take());
  ASSERT_FALSE(verdict.outcome);
  EXPECT_EQ(verdict.event.key.run, "0007");
  EXPECT_EQ(verdict.event.key.producer_seq, 0U);
  EXPECT_EQ(verdict.event.photon_energy_ev, 9123.0);
  EXPECT_EQ(verdict.event.timestamp, 5U);
  EXPECT_EQ(verdict.event.fiducial, 0U) << "0 is a fiducial like any other";
  EXPECT_EQ(verdict.event.encoder_value, -572.5);
  EXPECT_EQ(verdict.event.original_height, 48U);
  EXPECT_EQ(verdict.event.peaks.size(), 12U);
  EXPECT_EQ(verdict.peaks_cut, 0U);
}

TEST_F(ExamineTest, WhatTheProducerDidNotSayIsNotKnown) {
  stage_.feed({.number = 0, .peaks = 12, .photon_energy_ev = std::nullopt});
  const auto verdict = EventBuilder(settings(5, 100)).examine(take());
  EXPECT_FALSE(verdict.event.has_photon_energy());
  EXPECT_FALSE(verdict.event.fiducial);
  EXPECT_TRUE(std::isnan(verdict.event.encoder_value));
}

TEST_F(ExamineTest, PeaksOfASecondPanelLieBelowThoseOfTheFirst) {
  stage_.feed({.number = 0, .peaks = 12});
  const auto verdict = EventBuilder(settings(5, 100)).examine(take());
  for (const auto& peak : verdict.event.peaks) {
    EXPECT_GE(peak.y, peak.panel * 48);
    EXPECT_LT(peak.y, (peak.panel + 1) * 48);
  }
}

TEST_F(ExamineTest, TooFewPeaksAreFiltered) {
  stage_.feed({.number = 0, .peaks = 9});
  stage_.feed({.number = 1, .peaks = 10});
  EventBuilder examiner(settings(10, 100));
  const auto first = take();
  EXPECT_EQ(examiner.examine(first).outcome, shm::Counter::filtered);
  EXPECT_FALSE(examiner.examine(take()).outcome);
}

TEST_F(ExamineTest, OfTooManyPeaksTheStrongestAreKept) {
  stage_.feed({.number = 0, .peaks = 20});
  const auto frame = take();
  const auto all = EventBuilder(settings(5, 100)).examine(frame);
  const auto cut = EventBuilder(settings(5, 8)).examine(frame);
  EXPECT_EQ(cut.event.peaks.size(), 8U);
  EXPECT_EQ(cut.peaks_cut, 12U);
  std::vector<float> totals;
  for (const auto& peak : all.event.peaks) totals.push_back(peak.total);
  std::sort(totals.begin(), totals.end(), std::greater<>());
  for (const auto& peak : cut.event.peaks) EXPECT_GE(peak.total, totals[7]);
}

TEST_F(ExamineTest, AMaskThatIsNoDataIsAFailureOfItsOwn) {
  stage_.feed({.number = 0, .peaks = 200});
  EXPECT_EQ(EventBuilder(settings(5, 30)).examine(take()).outcome, shm::Counter::failed_mask);
}

TEST_F(ExamineTest, AModelThatFailedIsTheModelsFailure) {
  stage_.feed({.number = 0, .model_error = true});
  EXPECT_EQ(EventBuilder(settings(5, 30)).examine(take()).outcome, shm::Counter::failed_model);
}

TEST_F(ExamineTest, AFrameThatWasPassedOverIsDroppedWhateverItsMaskHolds) {
  stage_.feed({.number = 0, .peaks = 20, .skipped = true});
  EXPECT_EQ(EventBuilder(settings(5, 30)).examine(take()).outcome, shm::Counter::dropped_shed);
}

TEST_F(ExamineTest, TheCentreIsWeightedWhereThatIsAskedFor) {
  stage_.feed({.number = 0, .peaks = 12});
  const auto frame = take();
  auto weighted = settings(5, 100);
  weighted.centroid = config::Centroid::weighted;
  const auto plain = EventBuilder(settings(5, 100)).examine(frame).event.peaks;
  const auto moved = EventBuilder(weighted).examine(frame).event.peaks;
  ASSERT_EQ(plain.size(), moved.size());
  const auto bytes = test::image_of(0, stage_.geometry());
  const auto* pixels = reinterpret_cast<const std::uint16_t*>(bytes.data());
  bool differs = false;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(plain[i].total, moved[i].total);
    // One pixel, or two beside each other: x is then where their weights balance.
    const auto left = static_cast<std::size_t>(std::floor(plain[i].x));
    const auto row = static_cast<std::size_t>(plain[i].y) * stage_.geometry().width;
    if (plain[i].n_pixels == 2 && plain[i].total > 0) {
      EXPECT_EQ(moved[i].x, static_cast<float>(static_cast<double>(left) + pixels[row + left + 1] / plain[i].total));
    } else {
      EXPECT_EQ(moved[i].x, plain[i].x);
    }
    EXPECT_EQ(moved[i].y, plain[i].y);
    differs = differs || plain[i].x != moved[i].x;
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace peaknet::writer
