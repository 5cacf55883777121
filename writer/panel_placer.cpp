#include "writer/panel_placer.hpp"

#include <utility>

namespace peaknet::writer {

Result<PanelPlacer> PanelPlacer::load(const config::Config& config) {
  PanelPlacer placer;
  if (config.output.geometry.empty()) return placer;
  auto geometry = read_crystfel_geometry(config.output.geometry);
  if (!geometry) return geometry.error();
  constexpr double kMicrometre = 1e-6;
  placer.laboratory_ = laboratory_of(*geometry, {.material = config.output.sensor_material,
                                                 .thickness = config.output.sensor_thickness_um * kMicrometre});
  placer.geometry_ = std::move(*geometry);
  return placer;
}

Result<Placement> PanelPlacer::place(const shm::Geometry& frames) const {
  if (!geometry_) return Placement{};
  auto placed = place_panels(*geometry_, frames.panels, frames.height, frames.width);
  if (placed && is_stacked(placed->slab, frames.height, frames.width)) placed->slab = SlabLayout{};
  return placed;
}

}  // namespace peaknet::writer
