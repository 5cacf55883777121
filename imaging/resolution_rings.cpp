#include "imaging/resolution_rings.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/photon.hpp"

namespace peaknet::imaging {
namespace {

constexpr std::array<double, 27> kRound = {100, 50,  30,  20,  15,  10,  8,   6,   5,   4,   3.5, 3,   2.5, 2.2,
                                           2,   1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6};

}  // namespace

double ring_radius(const Diffraction& diffraction, double angstrom) {
  constexpr double kRightAngle = 1.5707963267948966;
  const double two_theta = scattering_angle(diffraction.wavelength_angstrom, angstrom);
  if (!(two_theta < kRightAngle)) return std::numeric_limits<double>::quiet_NaN();
  return diffraction.distance * std::tan(two_theta);
}

std::vector<ResolutionRing> resolution_rings(const Diffraction& diffraction, double farthest, double apart) {
  std::vector<ResolutionRing> rings;
  double last = 0;
  for (const double angstrom : kRound) {
    const double radius = ring_radius(diffraction, angstrom);
    if (!(radius <= farthest)) break;
    if (!(radius - last >= apart)) continue;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g \xc3\x85", angstrom);
    rings.push_back({radius, text.data()});
    last = radius;
  }
  return rings;
}

}  // namespace peaknet::imaging
