// Rings of equal resolution around the beam: Bragg's law on a flat detector that stands across the beam.
#pragma once

#include <string>
#include <vector>

namespace peaknet::imaging {

struct Diffraction {
  double wavelength_angstrom = 0;
  double distance = 0;  // from sample to detector, in pixels
};

struct ResolutionRing {
  double radius = 0;  // in pixels of the detector
  std::string text;   // "2.5 Å"
};

// Where reflections of spacing `angstrom` arrive; NaN where they arrive on no flat detector.
double ring_radius(const Diffraction& diffraction, double angstrom);

// Round resolutions, from the beam outwards: none beyond `farthest`, and `apart` at least between them.
std::vector<ResolutionRing> resolution_rings(const Diffraction& diffraction, double farthest, double apart);

}  // namespace peaknet::imaging
