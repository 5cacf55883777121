// Peakogram: how many peaks of the hits of a run have which intensity at which resolution. Its form is fixed, so that
// those of several writers add up.
//
// Invariant: a hit is in it with all of its peaks that lie on a panel, or not at all; `lacks` says why the last one is
// not. Values; used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cxi/event.hpp"
#include "cxi/laboratory.hpp"

namespace peaknet::writer {

struct Peakogram {
  static constexpr std::size_t kColumns = 128;
  static constexpr double kColumn = 0.01;  // of 1/d, per angstrom; the last column has all that is beyond, too
  static constexpr std::size_t kRows = 96;
  static constexpr double kRowsPerOctave = 4;  // from 1 on; the first row has all below, the last all beyond

  std::vector<std::uint32_t> counts = std::vector<std::uint32_t>(kRows * kColumns);  // row by row
  std::uint64_t hits = 0;                                                            // whose peaks are in it
  std::string lacks;  // what is not known of a hit that is not in it; "": of each all is

  static std::size_t column_of(double inverse_spacing);
  // Nothing: it is no number.
  static std::optional<std::size_t> row_of(double intensity);
  void add(const Peakogram& other);
};

// Adds hits to one, by where the panels of their files are. Cost: 0.1 us a peak.
class PeakogramBuilder {
 public:
  explicit PeakogramBuilder(Laboratory laboratory);

  void add(const Event& event);
  const Peakogram& all() const { return all_; }

 private:
  const LaboratoryPanel* panel_of(const PeakRow& peak);

  Laboratory laboratory_;
  std::size_t last_ = 0;  // the panel of the last peak
  Peakogram all_;
};

}  // namespace peaknet::writer
