#include "shm/descriptor.hpp"

#include <cmath>

namespace peaknet::shm {

std::string FrameDescriptor::frame_name() const {
  return "producer " + std::to_string(producer) + " frame " + std::to_string(producer_seq);
}

Status FrameDescriptor::check(const Geometry& geometry) const {
  const auto refuse = [&](const std::string& field, const std::string& is, const std::string& should) {
    return Error{"frame.bad-descriptor", frame_name() + ": " + field + " is " + is + ", the pool has " + should,
                 "the other frames are not touched",
                 "find the producer that writes past its slot (peaknetctl stats lists them)"};
  };
  if (pixel_type != static_cast<std::uint32_t>(geometry.pixel_type)) {
    return refuse("pixel type", std::to_string(pixel_type), std::string(name(geometry.pixel_type)));
  }
  if (panels != geometry.panels || height != geometry.height || width != geometry.width) {
    return refuse("shape",
                  "[" + std::to_string(panels) + "," + std::to_string(height) + "," + std::to_string(width) + "]",
                  describe(geometry));
  }
  if (original_height < 1 || original_width < 1 || std::uint64_t{original_height} + pad_top > height ||
      std::uint64_t{original_width} + pad_left > width) {
    return refuse("valid area",
                  std::to_string(original_height) + "x" + std::to_string(original_width) + " at " +
                      std::to_string(pad_top) + "," + std::to_string(pad_left),
                  std::to_string(height) + "x" + std::to_string(width));
  }
  if (!(std::isnan(photon_energy_ev) || (std::isfinite(photon_energy_ev) && photon_energy_ev > 0.0))) {
    return refuse("photon energy", std::to_string(photon_energy_ev), "a positive number of eV or NaN as its rule");
  }
  if (std::isinf(encoder_value))
    return refuse("encoder value", std::to_string(encoder_value), "a number of mm or NaN as its rule");
  if (fiducial != kNoFiducial && fiducial > INT32_MAX)
    return refuse("fiducial", std::to_string(fiducial), "0 to 2^31 - 1 or none as its rule");
  return {};
}

}  // namespace peaknet::shm
