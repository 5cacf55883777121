// Laboratory: where the pixels of a file's image are in space, as the geometry file of its writer says, for files that
// tell it themselves (nexus.hpp). Values, which a ledger carries, and a pure function.
//
// The axes are those of CrystFEL, which are NeXus' too: z along the beam, y upwards, x to the left of one who looks
// along the beam; the sample is at the origin. Lengths are metres.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cxi/crystfel_geometry.hpp"

namespace peaknet::writer {

using Vector3 = std::array<double, 3>;  // x, y, z

// What of the detector no geometry file says.
struct Sensor {
  std::string material = "Si";
  double thickness = 320e-6;
  bool operator==(const Sensor&) const = default;
};

// A panel of the geometry file: a panel of a frame, or an ASIC of one.
struct LaboratoryPanel {
  std::string name;
  std::uint32_t y = 0, x = 0, height = 0, width = 0;  // its pixels in the image
  Vector3 corner{};  // the outer corner of its first pixel; z is beyond Laboratory::length
  Vector3 column{};  // the step to the next column
  Vector3 row{};     // the step to the next row
  bool operator==(const LaboratoryPanel&) const = default;
};

struct Laboratory {
  std::string unknown = "there is no output.geometry";  // why nothing of the rest is known; "": it is
  std::vector<LaboratoryPanel> panels;
  CameraLength length;                     // from the sample to the plane that all corners refer to
  std::optional<double> photon_energy_ev;  // that the geometry file says
  Sensor sensor;
  bool operator==(const Laboratory&) const = default;
};

// What the geometry lacks for positions is said in `unknown`.
Laboratory laboratory_of(const CrystfelGeometry& geometry, const Sensor& sensor);

}  // namespace peaknet::writer
