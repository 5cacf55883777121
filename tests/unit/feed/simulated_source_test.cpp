#include "feed/simulated_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::fill;

constexpr shm::Geometry kImage{8, 1, 256, 300, PixelType::uint16};

TEST(SimulatedSource, AFrameIsTheSameInEveryRunOfItsSeedAndDifferentInAnother) {
  SimulatedSource a(kImage, {.frames = 200, .seed = 5, .hit_fraction = 0.5}),
      b(kImage, {.frames = 90, .seed = 5, .hit_fraction = 0.5}),
      other(kImage, {.frames = 200, .seed = 6, .hit_fraction = 0.5});
  int equal = 0;
  for (std::uint64_t i = 0; i < 90; ++i) {
    const auto frame = fill(a, i);
    EXPECT_EQ(frame.image, fill(b, i).image);
    EXPECT_EQ(frame.info.event_id, i);
    equal += frame.image == fill(other, i).image;
  }
  EXPECT_EQ(equal, 0);
  // In whatever order.
  const auto last = fill(a, 89), first = fill(a, 0);
  EXPECT_EQ(first.image, fill(b, 0).image);
  EXPECT_EQ(last.image, fill(b, 89).image);
}

TEST(SimulatedSource, HitsComeInTheirShareAndBlanksHaveNoSpots) {
  const SimulatedSource source(kImage, {.frames = 4000, .seed = 1, .hit_fraction = 0.3});
  int hits = 0;
  for (std::uint64_t i = 0; i < source.size(); ++i) hits += !source.spots(i).empty();
  EXPECT_NEAR(hits, 1200, 120);
  EXPECT_TRUE(SimulatedSource(kImage, {.frames = 10, .seed = 1, .hit_fraction = 0.0}).spots(3).empty());
  EXPECT_FALSE(SimulatedSource(kImage, {.frames = 10, .seed = 1, .hit_fraction = 1.0}).spots(3).empty());
}

TEST(SimulatedSource, SpotsAreManyApartAndInside) {
  const shm::Geometry geometry{8, 3, 256, 300, PixelType::float32};
  const SimulatedSource source(geometry, {.frames = 200, .seed = 9, .hit_fraction = 1.0});
  std::size_t fewest = 1000, most = 0;
  for (std::uint64_t i = 0; i < source.size(); ++i) {
    const auto spots = source.spots(i);
    fewest = std::min(fewest, spots.size());
    most = std::max(most, spots.size());
    for (std::size_t j = 0; j < spots.size(); ++j) {
      const auto& spot = spots[j];
      EXPECT_LT(spot.panel, 3U);
      EXPECT_TRUE(spot.y >= 8 && spot.y <= 247 && spot.x >= 8 && spot.x <= 291) << spot.y << " " << spot.x;
      for (std::size_t k = 0; k < j; ++k) {
        if (spots[k].panel != spot.panel) continue;
        EXPECT_GE(std::hypot(spot.y - spots[k].y, spot.x - spots[k].x), 12.0F);
      }
    }
  }
  EXPECT_GE(fewest, 15U);
  EXPECT_LE(most, 100U);
  EXPECT_GT(most, 90U);
}

TEST(SimulatedSource, TheSpotsAreInTheImageWhereTheTruthSaysAndNowhereElse) {
  for (const PixelType type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    const shm::Geometry geometry{8, 2, 128, 160, type};
    SimulatedSource source(geometry, {.frames = 20, .seed = 3, .hit_fraction = 1.0});
    for (std::uint64_t i = 0; i < source.size(); ++i) {
      const auto frame = fill(source, i);
      std::vector<double> pixels(geometry.pixels());
      if (type == PixelType::float32) {
        std::ranges::copy(frame.pixels<float>(), pixels.begin());
      } else {
        std::ranges::copy(frame.pixels<std::uint16_t>(), pixels.begin());
      }
      const auto spots = source.spots(i);
      EXPECT_EQ(frame.info.user[0], spots.size());
      for (const auto& spot : spots) {
        // The brightest pixel of the neighbourhood is the spot's own.
        const long y0 = std::lround(spot.y), x0 = std::lround(spot.x);
        const auto at = [&](long y, long x) {
          return pixels[(spot.panel * 128U + static_cast<std::size_t>(y)) * 160U + static_cast<std::size_t>(x)];
        };
        double y_sum = 0, x_sum = 0, sum = 0;
        for (long y = y0 - 4; y <= y0 + 4; ++y) {
          for (long x = x0 - 4; x <= x0 + 4; ++x) {
            const double above = std::max(0.0, at(y, x) - 60.0);
            sum += above;
            y_sum += above * static_cast<double>(y);
            x_sum += above * static_cast<double>(x);
          }
        }
        ASSERT_GT(sum, 0.0);
        EXPECT_NEAR(y_sum / sum, spot.y, 0.25);
        EXPECT_NEAR(x_sum / sum, spot.x, 0.25);
        for (long y = y0 - 4; y <= y0 + 4; ++y) {
          for (long x = x0 - 4; x <= x0 + 4; ++x)
            pixels[(spot.panel * 128U + static_cast<std::size_t>(y)) * 160U + static_cast<std::size_t>(x)] = 0;
        }
      }
      EXPECT_LT(*std::ranges::max_element(pixels), 60.0) << "counts without a spot";
      EXPECT_GE(*std::ranges::min_element(pixels), 0.0);
    }
  }
}

TEST(SimulatedSource, FramesTooSmallForSpotsAreBlank) {
  SimulatedSource source({8, 1, 16, 16, PixelType::uint16}, {.frames = 10, .seed = 1, .hit_fraction = 1.0});
  for (std::uint64_t i = 0; i < 10; ++i) EXPECT_EQ(fill(source, i).info.user[0], 0U);
}

TEST(SimulatedSource, TimeAndEnergyAreKnown) {
  SimulatedSource source(kImage, {.frames = 500, .seed = 1, .hit_fraction = 0.1});
  const auto frame = fill(source, 250);
  EXPECT_DOUBLE_EQ(frame.info.photon_energy_ev, 9500.0);
  EXPECT_EQ(frame.info.timestamp >> 32, 1'700'000'002U);
  EXPECT_EQ(frame.info.timestamp & 0xffffffffU, 83'333'333U);
}

TEST(SimulatedSource, TheTruthIsWrittenLineByLine) {
  const SimulatedSource source(kImage, {.frames = 30, .seed = 2, .hit_fraction = 0.5});
  const auto path = test::temporary_file("truth.csv");
  test::must(write_truth(source, path));
  std::ifstream in(path);
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  EXPECT_EQ(line, "frame,panel,y,x,intensity,saturated,dead");
  for (std::uint64_t i = 0; i < 30; ++i) {
    for (const auto& spot : source.spots(i)) {
      ASSERT_TRUE(std::getline(in, line));
      unsigned long long frame = 0;
      unsigned panel = 0;
      double y = 0, x = 0, intensity = 0;
      ASSERT_EQ(std::sscanf(line.c_str(), "%llu,%u,%lf,%lf,%lf", &frame, &panel, &y, &x, &intensity), 5) << line;
      EXPECT_EQ(frame, i);
      EXPECT_NEAR(y, spot.y, 1e-4);
      EXPECT_NEAR(x, spot.x, 1e-4);
      EXPECT_NEAR(intensity, SimulatedSource::total(spot), 0.5);
      EXPECT_NEAR(intensity, spot.peak * 2 * M_PI * 1.3 * 1.3, 0.05 * intensity);
    }
  }
  EXPECT_FALSE(std::getline(in, line));
  EXPECT_EQ(write_truth(source, "/nowhere/truth.csv").error().id, "file.cannot-write");
}

// What stands in a pixel, as a number.
double at(const test::Arrived& frame, const shm::Geometry& geometry, std::uint32_t panel, std::size_t y,
          std::size_t x) {
  return frame.pixels<std::uint16_t>()[(panel * geometry.height + y) * geometry.width + x];
}

TEST(SimulatedSource, ACrystalHasItsLatticeAndEveryFrameAnotherOrientation) {
  const shm::Geometry geometry{8, 1, 512, 512, PixelType::uint16};
  SimulatedSource source(geometry, {.frames = 20, .seed = 4, .hit_fraction = 1.0, .crystal = true});
  SimulatedSource again(geometry, {.frames = 5, .seed = 4, .hit_fraction = 1.0, .crystal = true});
  std::vector<SimulatedSpot> before;
  for (std::uint64_t i = 0; i < 5; ++i) {
    const auto spots = source.spots(i);
    EXPECT_GT(spots.size(), 10U) << i;
    EXPECT_LE(spots.size(), 100U);
    EXPECT_EQ(fill(source, i).image, fill(again, i).image);
    const bool same = before.size() == spots.size() && !before.empty() && before.front().y == spots.front().y;
    EXPECT_FALSE(same);
    before = spots;
    const auto frame = fill(source, i);
    for (const auto& spot : spots) {
      const auto y = static_cast<std::size_t>(std::lround(spot.y)), x = static_cast<std::size_t>(std::lround(spot.x));
      EXPECT_GT(at(frame, geometry, 0, y, x), 0.6 * spot.peak) << spot.y << " " << spot.x;
    }
  }
}

TEST(SimulatedSource, ASmallerDetectorIsPaddedAndTheDescriptorSaysSo) {
  const shm::Geometry pool{8, 2, 96, 128, PixelType::uint16};
  SimulatedSource source(pool, {.frames = 4, .seed = 1, .hit_fraction = 1.0, .height = 90, .width = 100});
  const auto frame = fill(source, 0);
  EXPECT_EQ(frame.info.original_height, 90U);
  EXPECT_EQ(frame.info.original_width, 100U);
  double measured = 0;
  for (std::uint32_t panel = 0; panel < 2; ++panel) {
    for (std::size_t y = 0; y < 96; ++y) {
      for (std::size_t x = 0; x < 128; ++x) {
        if (y < 90 && x < 100) {
          measured += at(frame, pool, panel, y, x);
        } else {
          ASSERT_EQ(at(frame, pool, panel, y, x), 0.0) << y << " " << x;
        }
      }
    }
  }
  EXPECT_GT(measured, 100'000.0);
  for (const auto& spot : source.spots(0)) EXPECT_TRUE(spot.y <= 81 && spot.x <= 91) << spot.y << " " << spot.x;
}

TEST(SimulatedSource, DeadAndSaturatedPixelsAreWhereTheTruthSays) {
  const shm::Geometry geometry{8, 1, 256, 256, PixelType::uint16};
  const SimulationOptions options{
      .frames = 4, .seed = 3, .hit_fraction = 1.0, .dead_fraction = 0.02, .saturation = 700};
  SimulatedSource sound(geometry, {.frames = 4, .seed = 3, .hit_fraction = 1.0}), source(geometry, options);
  std::size_t dead = 0, saturated_spots = 0, dead_in_spots = 0;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const auto whole = fill(sound, i).pixels<std::uint16_t>(), damaged = fill(source, i).pixels<std::uint16_t>();
    dead = 0;
    for (std::size_t p = 0; p < whole.size(); ++p) {
      const bool is_dead = damaged[p] == 0 && whole[p] != 0;
      dead += is_dead ? 1 : 0;
      ASSERT_TRUE(is_dead || damaged[p] == std::min<std::uint16_t>(whole[p], 700)) << p;
    }
    for (const auto& spot : source.spots(i)) {
      std::uint32_t at_limit = 0, gone = 0;
      for (long y = std::lround(spot.y) - 4; y <= std::lround(spot.y) + 4; ++y) {
        for (long x = std::lround(spot.x) - 4; x <= std::lround(spot.x) + 4; ++x) {
          const auto p = static_cast<std::size_t>(y * 256 + x);
          at_limit += whole[p] > 700 ? 1 : 0;
          gone += damaged[p] == 0 && whole[p] != 0 ? 1 : 0;
        }
      }
      const SpotDamage damage = source.damage(i, spot);
      EXPECT_EQ(damage.saturated, at_limit);
      EXPECT_GE(damage.dead, gone);  // a dead pixel may have had nothing to lose
      saturated_spots += damage.saturated > 0 ? 1 : 0;
      dead_in_spots += damage.dead;
    }
  }
  EXPECT_NEAR(static_cast<double>(dead), 0.02 * 256 * 256, 200);
  EXPECT_GT(saturated_spots, 0U);
  EXPECT_GT(dead_in_spots, 0U);
}

}  // namespace
}  // namespace peaknet::feed
