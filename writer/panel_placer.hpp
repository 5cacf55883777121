// PanelPlacer: output.geometry applied to the frames of the pool: where each panel lies in a file, and which pixels are
// no data, and where they are in the laboratory.
#pragma once

#include <optional>

#include "base/result.hpp"
#include "config/config.hpp"
#include "cxi/crystfel_geometry.hpp"
#include "cxi/laboratory.hpp"
#include "cxi/placement.hpp"
#include "shm/geometry.hpp"

namespace peaknet::writer {

class PanelPlacer {
 public:
  // Panels are stacked.
  PanelPlacer() = default;
  // Errors: geometry.not-readable.
  static Result<PanelPlacer> load(const config::Config& config);

  // Its slab has no places if panels are stacked, so that nothing needs to be moved. Errors: geometry.does-not-fit.
  Result<Placement> place(const shm::Geometry& frames) const;
  // Where the panels of such files are in space, or why that is not known.
  const Laboratory& laboratory() const { return laboratory_; }

 private:
  std::optional<CrystfelGeometry> geometry_;
  Laboratory laboratory_;
};

}  // namespace peaknet::writer
