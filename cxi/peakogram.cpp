#include "cxi/peakogram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/photon.hpp"

namespace peaknet::writer {
namespace {

bool holds(const LaboratoryPanel& panel, const PeakRow& peak) {
  const double x = peak.x + 0.5, y = peak.y + 0.5;
  return x >= panel.x && x < panel.x + panel.width && y >= panel.y && y < panel.y + panel.height;
}

// Between the beam and the peak, which is at that distance beyond the sample along the beam.
double angle_of(const LaboratoryPanel& panel, const PeakRow& peak, double distance) {
  const double columns = double{peak.x} - panel.x + 0.5, rows = double{peak.y} - panel.y + 0.5;
  const auto along = [&](std::size_t axis) {
    return panel.corner[axis] + columns * panel.column[axis] + rows * panel.row[axis];
  };
  return std::atan2(std::sqrt(along(0) * along(0) + along(1) * along(1)), distance + along(2));
}

}  // namespace

std::size_t Peakogram::column_of(double inverse_spacing) {
  const double column = std::max(0.0, inverse_spacing / kColumn);
  return column < kColumns ? static_cast<std::size_t>(column) : kColumns - 1;
}

std::optional<std::size_t> Peakogram::row_of(double intensity) {
  if (std::isnan(intensity)) return std::nullopt;
  if (!(intensity > 1)) return 0;
  const double row = kRowsPerOctave * std::log2(intensity);
  return row < kRows ? static_cast<std::size_t>(row) : kRows - 1;
}

void Peakogram::add(const Peakogram& other) {
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  hits += other.hits;
  if (!other.lacks.empty()) lacks = other.lacks;
}

PeakogramBuilder::PeakogramBuilder(Laboratory laboratory) : laboratory_(std::move(laboratory)) {}

// From the last one's on: peaks come in the order of the panels.
const LaboratoryPanel* PeakogramBuilder::panel_of(const PeakRow& peak) {
  const auto& panels = laboratory_.panels;
  for (std::size_t tried = 0, at = last_; tried < panels.size(); ++tried, at = at + 1 < panels.size() ? at + 1 : 0) {
    if (!holds(panels[at], peak)) continue;
    last_ = at;
    return &panels[at];
  }
  return nullptr;
}

void PeakogramBuilder::add(const Event& event) {
  const double distance = distance_of(laboratory_.length, event.encoder_value);
  const double energy = event.has_photon_energy()
                            ? event.photon_energy_ev
                            : laboratory_.photon_energy_ev.value_or(std::numeric_limits<double>::quiet_NaN());
  const bool placed = distance > 0 && std::isfinite(distance);
  if (!laboratory_.unknown.empty()) {
    all_.lacks = laboratory_.unknown;
  } else if (!(energy > 0) || !placed) {
    all_.lacks = energy > 0 ? "the distance of the detector is not known"
                 : placed   ? "the photon energy is not known"
                            : "the photon energy and the distance of the detector are not known";
  } else {
    ++all_.hits;
    for (const PeakRow& peak : event.peaks) {
      const LaboratoryPanel* const panel = panel_of(peak);
      const auto row = Peakogram::row_of(peak.total);
      if (panel == nullptr || !row) continue;
      const double inverse = inverse_spacing(kElectronVoltAngstrom / energy, angle_of(*panel, peak, distance));
      ++all_.counts[*row * Peakogram::kColumns + Peakogram::column_of(inverse)];
    }
  }
}

}  // namespace peaknet::writer
