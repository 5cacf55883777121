// What relates a photon's energy to its wavelength, and Bragg's equation both ways: rings of resolution and peakograms
// say the same of a pixel. Lengths are angstrom, angles radians between the beam and the reflection (2 theta).
#pragma once

#include <cmath>

namespace peaknet {

inline constexpr double kElectronVoltAngstrom = 12398.4193;  // h c

// NaN where no reflection has that spacing.
inline double scattering_angle(double wavelength, double spacing) { return 2 * std::asin(wavelength / (2 * spacing)); }

// 1/d of what arrives at that angle.
inline double inverse_spacing(double wavelength, double angle) { return 2 * std::sin(angle / 2) / wavelength; }

}  // namespace peaknet
