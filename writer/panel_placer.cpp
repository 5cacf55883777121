#include "writer/panel_placer.hpp"

#include <utility>

namespace peaknet::writer {

Result<PanelPlacer> PanelPlacer::load(const config::Config& config) {
  PanelPlacer placer;
  if (config.output.geometry.empty()) return placer;
  auto geometry = read_crystfel_geometry(config.output.geometry);
  if (!geometry) return geometry.error();
  placer.geometry_ = std::move(*geometry);
  return placer;
}

Result<SlabLayout> PanelPlacer::layout(const shm::Geometry& frames) const {
  if (!geometry_) return SlabLayout{};
  auto slab = place_panels(*geometry_, frames.panels, frames.height, frames.width);
  if (slab && is_stacked(*slab, frames.height, frames.width)) return SlabLayout{};
  return slab;
}

}  // namespace peaknet::writer
