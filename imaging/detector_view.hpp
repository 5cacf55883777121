// From a CrystFEL geometry and what is known of an event to what a picture shows of them: panels where they are in the
// laboratory, and rings of resolution. No state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "cxi/crystfel_geometry.hpp"
#include "cxi/slab.hpp"
#include "imaging/assembly.hpp"
#include "imaging/resolution_rings.hpp"

namespace peaknet::writer {

// The laboratory's x to the right and its y upwards; the beam is at (0, 0). `slab` is where the frame's panels of
// height x width lie in the image: it gives the numbers. Errors: geometry.does-not-fit, where a panel lies beyond the
// slab or is no area.
Result<imaging::Assembly> assemble(const CrystfelGeometry& geometry, const SlabLayout& slab, std::uint32_t height,
                                   std::uint32_t width);

// What is known of the event itself wins over what the geometry says for all events. NaN: not known.
struct EventBeam {
  double photon_energy_ev;
  double encoder_value_mm;  // /LCLS/detector_1/EncoderValue
};
struct KnownDiffraction {
  std::optional<imaging::Diffraction> diffraction;
  std::string unknown;  // what it lacks: "the photon energy and the distance"; also panels at different distances
};
KnownDiffraction diffraction_of(const CrystfelGeometry& geometry, const EventBeam& beam);

// Without a geometry: panels that are stacked stand side by side in a grid; others are where they lie in the slab.
imaging::Assembly assemble_as_stored(const SlabLayout& slab, std::uint32_t height, std::uint32_t width);

struct DetectorView {
  imaging::Assembly assembly;
  std::optional<imaging::Diffraction> diffraction;
  std::string remark;            // for the picture's header: where the panels are, and what could not be known
  std::optional<Error> problem;  // why the geometry could not be used; panels are then as stored
};
struct DetectorRequest {
  std::filesystem::path geometry;  // "": none
  SlabLayout slab;
  std::uint32_t panel_height = 0, panel_width = 0;
  EventBeam beam;
};
DetectorView view_detector(const DetectorRequest& request);

}  // namespace peaknet::writer
