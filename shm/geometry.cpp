#include "shm/geometry.hpp"

#include <string>

#include "shm/columns.hpp"

namespace peaknet::shm {

Status Geometry::check() const {
  const auto refuse = [](std::string what) {
    return Error{"pool.bad-geometry", std::move(what), "",
                 "correct pool.slots, pool.shape or pool.dtype in the configuration"};
  };
  if (slots < kMinSlots || slots > kMaxSlots) {
    return refuse("pool.slots is " + std::to_string(slots) + ", allowed are " + std::to_string(kMinSlots) + " to " +
                  std::to_string(kMaxSlots));
  }
  if (panels < 1 || panels > kMaxPanels || height < 1 || height > kMaxSide || width < 1 || width > kMaxSide) {
    return refuse("pool.shape is [" + std::to_string(panels) + "," + std::to_string(height) + "," +
                  std::to_string(width) + "], allowed are 1 to " + std::to_string(kMaxPanels) + " panels of 1 to " +
                  std::to_string(kMaxSide) + " pixels a side");
  }
  if (size_of(pixel_type) == 0) return refuse("pool.dtype has no known pixel type");
  if (pixels() > std::size_t{1} << 30) {
    return refuse("a frame of " + std::to_string(pixels()) + " pixels is larger than the 2^30 allowed");
  }
  if (columns > kMostColumns || side_bytes > sizeof(SideHeader) + kMostRowBytes ||
      (columns == 0) != (side_bytes == 0)) {
    return refuse(std::to_string(columns) + " columns of " + std::to_string(side_bytes) +
                  " bytes for a frame cannot be");
  }
  return {};
}

std::string describe(const Geometry& geometry) {
  return std::string(name(geometry.pixel_type)) + " [" + std::to_string(geometry.panels) + "," +
         std::to_string(geometry.height) + "," + std::to_string(geometry.width) + "]" +
         (geometry.columns == 0 ? "" : " with " + std::to_string(geometry.columns) + " columns");
}

}  // namespace peaknet::shm
