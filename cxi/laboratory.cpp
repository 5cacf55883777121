#include "cxi/laboratory.hpp"

#include <algorithm>
#include <cmath>

namespace peaknet::writer {
namespace {

Vector3 in_metres(const Direction& step, double pixels_per_metre) {
  return {step.x / pixels_per_metre, step.y / pixels_per_metre, step.z / pixels_per_metre};
}

// Two steps of some length that do not lie on one line, as numbers.
bool spans_area(const LaboratoryPanel& panel) {
  const auto& [ax, ay, az] = panel.column;
  const auto& [bx, by, bz] = panel.row;
  const double normal = std::hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx);
  const double sides = std::hypot(ax, ay, az) * std::hypot(bx, by, bz);
  constexpr double kLeastSine = 1e-6;
  return std::isfinite(normal) && sides > 0 && normal > kLeastSine * sides;
}

// "" or what hinders to know the distance of all panels.
std::string distance_lacks(const std::vector<GeometryPanel>& panels) {
  const CameraLength& first = panels.front().length;
  for (const GeometryPanel& panel : panels) {
    const CameraLength& length = panel.length;
    const std::string named = "panel " + panel.name + " has ";
    if (!length.metres && length.dataset.empty()) return named + "no distance (clen)";
    if (!length.metres && length.dataset != kEncoderValue)
      return named + "its distance in " + length.dataset + ", which is not in these files";
    if (!std::isfinite(length.offset)) return named + "a coffset that is no number";
    const bool same_kind = length.metres.has_value() == first.metres.has_value() &&
                           (length.metres || length.dataset_unit == first.dataset_unit);
    if (!same_kind) return named + "another kind of distance (clen) than panel " + panels.front().name;
  }
  return "";
}

}  // namespace

Laboratory laboratory_of(const CrystfelGeometry& geometry, const Sensor& sensor) {
  Laboratory known;
  known.sensor = sensor;
  known.photon_energy_ev = geometry.photon_energy_ev;
  const auto unknown = [&](const std::string& why) {
    Laboratory without;
    without.unknown = geometry.source + ": " + why;
    return without;
  };
  if (geometry.panels.empty()) return unknown("there is no panel in it");
  if (!geometry.shift) return unknown("its detector_shift_x or _y is no number");
  if (const std::string lacks = distance_lacks(geometry.panels); !lacks.empty()) return unknown(lacks);
  known.length = geometry.panels.front().length;
  for (const GeometryPanel& panel : geometry.panels) {
    if (!(panel.pixels_per_metre > 0)) return unknown("panel " + panel.name + " has no pixel size (res)");
    const double pixels = panel.pixels_per_metre;
    const double beyond =
        panel.length.metres.value_or(0) + panel.length.offset - known.length.metres.value_or(0) - known.length.offset;
    const LaboratoryPanel placed{
        panel.name,
        panel.min_ss,
        panel.min_fs,
        panel.height(),
        panel.width(),
        {panel.corner.x / pixels + geometry.shift->x, panel.corner.y / pixels + geometry.shift->y, beyond},
        in_metres(panel.fs, pixels),
        in_metres(panel.ss, pixels)};
    const bool somewhere =
        std::all_of(placed.corner.begin(), placed.corner.end(), [](double v) { return std::isfinite(v); });
    if (!somewhere || !spans_area(placed)) return unknown("panel " + panel.name + " is no area of the laboratory");
    known.panels.push_back(placed);
  }
  known.unknown.clear();
  return known;
}

}  // namespace peaknet::writer
