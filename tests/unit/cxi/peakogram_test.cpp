#include "cxi/peakogram.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/must.hpp"
#include "base/photon.hpp"
#include "imaging/detector_view.hpp"
#include "imaging/resolution_rings.hpp"

namespace peaknet::writer {
namespace {

constexpr double kEnergy = 9500;
constexpr double kWavelength = kElectronVoltAngstrom / kEnergy;

// Two panels of 64 x 64 pixels of 100 um in 0.1 m; the beam is at the outer corner of the first one's first pixel, the
// second one lies to its left and is turned by a quarter.
CrystfelGeometry two_panels(const std::string& keys) {
  return must(parse_crystfel_geometry(
      keys + "\nres = 10000\na/min_fs = 0\na/max_fs = 63\na/min_ss = 0\na/max_ss = 63\na/corner_x = 0\na/corner_y = 0\n"
             "a/fs = +x\na/ss = +y\nb/min_fs = 0\nb/max_fs = 63\nb/min_ss = 64\nb/max_ss = 127\nb/corner_x = -10\n"
             "b/corner_y = 0\nb/fs = +y\nb/ss = -x\n",
      "two.geom"));
}

Event hit(std::vector<PeakRow> peaks, double energy = kEnergy) {
  Event event;
  event.photon_energy_ev = energy;
  event.peaks = std::move(peaks);
  return event;
}

PeakRow peak(double x, double y, double total) {
  return {.x = static_cast<float>(x), .y = static_cast<float>(y), .total = static_cast<float>(total)};
}

std::size_t at(std::size_t row, std::size_t column) { return row * Peakogram::kColumns + column; }
std::uint64_t peaks_in(const Peakogram& all) {
  return std::accumulate(all.counts.begin(), all.counts.end(), std::uint64_t{0});
}

TEST(Peakogram, a_peak_is_at_the_resolution_of_the_ring_that_goes_through_it) {
  const auto geometry = two_panels("clen = 0.1");
  const auto diffraction = *diffraction_of(geometry, {kEnergy, NAN}).diffraction;
  for (const double angstrom : {30.0, 24.0, 22.0}) {
    const double radius = imaging::ring_radius(diffraction, angstrom);
    PeakogramBuilder builder(laboratory_of(geometry, {}));
    // On the first panel's diagonal, and upwards of the beam on the second.
    builder.add(hit({peak(radius / std::sqrt(2) - 0.5, radius / std::sqrt(2) - 0.5, 20)}));
    const double up = std::sqrt(radius * radius - 20.5 * 20.5);
    builder.add(hit({peak(up - 0.5, 64 + 10, 20)}));
    const std::size_t place = at(17, Peakogram::column_of(1 / angstrom));
    EXPECT_EQ(builder.all().counts[place], 2U) << angstrom;
    EXPECT_EQ(peaks_in(builder.all()), 2U);
  }
}

TEST(Peakogram, what_lies_beyond_its_form_is_at_its_edge_and_what_is_no_number_nowhere) {
  EXPECT_EQ(Peakogram::row_of(-5), 0U);
  EXPECT_EQ(Peakogram::row_of(1), 0U);
  EXPECT_EQ(Peakogram::row_of(2), 4U);
  EXPECT_EQ(Peakogram::row_of(1e30), Peakogram::kRows - 1);
  EXPECT_EQ(Peakogram::row_of(std::numeric_limits<double>::infinity()), Peakogram::kRows - 1);
  EXPECT_FALSE(Peakogram::row_of(NAN));
  EXPECT_EQ(Peakogram::column_of(0), 0U);
  EXPECT_EQ(Peakogram::column_of(0.5), 50U);
  EXPECT_EQ(Peakogram::column_of(7), Peakogram::kColumns - 1);
  PeakogramBuilder builder(laboratory_of(two_panels("clen = 0.1"), {}));
  builder.add(hit({peak(NAN, 3, 5), peak(200, 3, 5), peak(3, -2, 5), peak(3, 3, NAN)}));
  EXPECT_EQ(peaks_in(builder.all()), 0U);
  EXPECT_EQ(builder.all().hits, 1U);
}

TEST(Peakogram, says_what_is_not_known_and_counts_no_such_hit) {
  const auto lacks = [](const std::string& keys, double energy, double encoder = NAN) {
    PeakogramBuilder builder(laboratory_of(two_panels(keys), {}));
    Event event = hit({peak(3, 3, 5)}, energy);
    event.encoder_value = encoder;
    builder.add(event);
    EXPECT_EQ(peaks_in(builder.all()), builder.all().hits);
    return builder.all().lacks;
  };
  EXPECT_EQ(lacks("clen = 0.1", kEnergy), "");
  EXPECT_EQ(lacks("clen = 0.1\nphoton_energy = 9500", NAN), "");
  EXPECT_EQ(lacks("clen = 0.1", NAN), "the photon energy is not known");
  EXPECT_EQ(lacks("clen = /LCLS/detector_1/EncoderValue", kEnergy, 100), "");
  EXPECT_EQ(lacks("clen = /LCLS/detector_1/EncoderValue", kEnergy), "the distance of the detector is not known");
  PeakogramBuilder nowhere{Laboratory{}};
  nowhere.add(hit({peak(3, 3, 5)}));
  EXPECT_EQ(nowhere.all().lacks, "there is no output.geometry");
  EXPECT_EQ(nowhere.all().hits, 0U);
}

TEST(Peakogram, those_of_several_writers_are_one) {
  PeakogramBuilder one(laboratory_of(two_panels("clen = 0.1"), {}));
  one.add(hit({peak(3, 3, 5), peak(4, 4, 5)}));
  PeakogramBuilder other(laboratory_of(two_panels("clen = 0.1"), {}));
  other.add(hit({peak(3, 3, 5)}));
  other.add(hit({peak(3, 3, 5)}, NAN));
  Peakogram all = one.all();
  all.add(other.all());
  EXPECT_EQ(peaks_in(all), 3U);
  EXPECT_EQ(all.hits, 2U);
  EXPECT_EQ(all.lacks, "the photon energy is not known");
}

}  // namespace
}  // namespace peaknet::writer
