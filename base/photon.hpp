// What relates a photon's energy to its wavelength.
#pragma once

namespace peaknet {

inline constexpr double kElectronVoltAngstrom = 12398.4193;  // h c

}  // namespace peaknet
