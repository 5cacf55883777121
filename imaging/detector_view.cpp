#include "imaging/detector_view.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/photon.hpp"

namespace peaknet::writer {
namespace {

// The panel of a frame that the box is, or is a part of.
std::optional<std::uint32_t> number_of(const GeometryPanel& panel, const SlabLayout& slab, std::uint32_t height,
                                       std::uint32_t width) {
  for (std::size_t i = 0; i < slab.places.size(); ++i) {
    const PanelPlace& place = slab.places[i];
    const bool inside = panel.min_ss >= place.y && panel.max_ss < place.y + height && panel.min_fs >= place.x &&
                        panel.max_fs < place.x + width;
    if (inside) return static_cast<std::uint32_t>(i);
  }
  return std::nullopt;
}

}  // namespace

Result<imaging::Assembly> assemble(const CrystfelGeometry& geometry, const SlabLayout& slab, std::uint32_t height,
                                   std::uint32_t width) {
  imaging::Assembly assembly;
  assembly.beam = imaging::Point{0, 0};
  // Each panel's lengths are in pixels of its own; the picture has those of the first.
  const double pixel = geometry.panels.empty() ? 0 : geometry.panels.front().pixels_per_metre;
  for (const GeometryPanel& panel : geometry.panels) {
    const double size = pixel > 0 && panel.pixels_per_metre > 0 ? pixel / panel.pixels_per_metre : 1;
    const auto on_picture = [&](Place place) { return imaging::Point{place.x * size, -place.y * size}; };
    const Place shift = geometry.shift.value_or(Place{});
    const Place corner{panel.corner.x + shift.x * panel.pixels_per_metre,
                       panel.corner.y + shift.y * panel.pixels_per_metre};
    const imaging::PanelBox box{
        panel.min_fs,       panel.min_ss,         panel.width(),        panel.height(),
        on_picture(corner), on_picture(panel.fs), on_picture(panel.ss), number_of(panel, slab, height, width)};
    const bool fits = panel.max_fs < slab.width && panel.max_ss < slab.height;
    if (!fits || !imaging::extent_of(box)) {
      return Error{"geometry.does-not-fit",
                   geometry.source + ": panel " + panel.name +
                       (fits ? " is no area of the laboratory"
                             : " ends beyond the image of " + std::to_string(slab.height) + " x " +
                                   std::to_string(slab.width) + " pixels"),
                   "no picture was made", "name the geometry file of this detector"};
    }
    assembly.panels.push_back(box);
  }
  if (!imaging::extent_of(assembly)) {
    return Error{"geometry.does-not-fit", geometry.source + ": its panels span no area", "no picture was made",
                 "name the geometry file of this detector"};
  }
  return assembly;
}

KnownDiffraction diffraction_of(const CrystfelGeometry& geometry, const EventBeam& beam) {
  if (geometry.panels.empty()) return {std::nullopt, "a panel"};
  const GeometryPanel& first = geometry.panels.front();
  const double metres = distance_of(first.length, beam.encoder_value_mm);
  constexpr double kSamePlane = 1e-3;  // of the distance
  const bool one_plane = std::ranges::all_of(geometry.panels, [&](const GeometryPanel& panel) {
    return !(std::abs(distance_of(panel.length, beam.encoder_value_mm) - metres) > kSamePlane * std::abs(metres));
  });
  const bool known = std::isfinite(beam.photon_energy_ev) && beam.photon_energy_ev > 0;
  const double energy =
      known ? beam.photon_energy_ev : geometry.photon_energy_ev.value_or(std::numeric_limits<double>::quiet_NaN());
  std::string unknown;
  const auto lacks = [&](const char* what) { unknown += (unknown.empty() ? "" : " and ") + std::string(what); };
  if (!(energy > 0)) lacks("the photon energy");
  if (!(metres > 0)) lacks("the distance (clen, coffset)");
  if (!one_plane) lacks("one distance for all panels");
  if (!(first.pixels_per_metre > 0)) lacks("the pixel size (res)");
  if (!unknown.empty()) return {std::nullopt, unknown};
  return {imaging::Diffraction{kElectronVoltAngstrom / energy, metres * first.pixels_per_metre}, ""};
}

imaging::Assembly assemble_as_stored(const SlabLayout& slab, std::uint32_t height, std::uint32_t width) {
  const auto panels = static_cast<std::uint32_t>(slab.places.size());
  if (is_stacked(slab, height, width)) return imaging::grid_of(panels, height, width);
  imaging::Assembly assembly;
  for (std::uint32_t i = 0; i < panels; ++i) {
    const PanelPlace& place = slab.places[i];
    assembly.panels.push_back({place.x, place.y, width, height, {1.0 * place.x, 1.0 * place.y}, {1, 0}, {0, 1}, i});
  }
  return assembly;
}

DetectorView view_detector(const DetectorRequest& request) {
  DetectorView view;
  view.assembly = assemble_as_stored(request.slab, request.panel_height, request.panel_width);
  const bool many = request.slab.places.size() > 1;
  if (request.geometry.empty()) {
    if (many) view.remark = "no output.geometry: panels in the order of the data, not where they are on the detector";
    return view;
  }
  const std::string name = request.geometry.filename().string();
  const auto geometry = read_crystfel_geometry(request.geometry);
  auto assembly = geometry ? assemble(*geometry, request.slab, request.panel_height, request.panel_width)
                           : Result<imaging::Assembly>(geometry.error());
  if (!assembly) {
    view.problem = assembly.error();
    view.remark = name + " cannot be used (" + assembly.error().id + "): panels as they are in the data";
    return view;
  }
  view.assembly = std::move(*assembly);
  const auto known = diffraction_of(*geometry, request.beam);
  view.diffraction = known.diffraction;
  view.remark = "panels as in " + name + ", x to the right, y upwards";
  if (!view.diffraction) view.remark += "; no rings of resolution without " + known.unknown;
  return view;
}

}  // namespace peaknet::writer
