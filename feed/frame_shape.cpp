#include "feed/frame_shape.hpp"

namespace peaknet::feed {

std::string shape_text(std::span<const std::uint64_t> dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) text += (i > 0 ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

std::optional<std::uint64_t> frames_in(std::span<const std::uint64_t> dims, const shm::Geometry& geometry) {
  const std::uint64_t panels = geometry.panels, height = geometry.height, width = geometry.width;
  const std::uint64_t rows = panels * height;
  switch (dims.size()) {
    case 2:
      if (dims[0] == rows && dims[1] == width) return 1;
      break;
    case 3:
      if (dims[1] == rows && dims[2] == width) return dims[0];
      if (dims[0] == panels && dims[1] == height && dims[2] == width) return 1;
      break;
    case 4:
      if (dims[1] == panels && dims[2] == height && dims[3] == width) return dims[0];
      break;
    default:
      break;
  }
  return std::nullopt;
}

Error shape_error(const std::string& what, std::span<const std::uint64_t> dims, const shm::Geometry& geometry) {
  const auto side = [](std::uint64_t n) { return std::to_string(n); };
  std::string remedy = "set pool.shape to [panels,height,width] of this detector";
  if (dims.size() == 2) {
    remedy = "set pool.shape to [1," + side(dims[0]) + "," + side(dims[1]) + "]";
  } else if (dims.size() == 3) {
    remedy = "set pool.shape to [1," + side(dims[1]) + "," + side(dims[2]) +
             "], or to [panels,height,width] if panels are stacked";
  } else if (dims.size() == 4) {
    remedy = "set pool.shape to [" + side(dims[1]) + "," + side(dims[2]) + "," + side(dims[3]) + "]";
  }
  return {"frame.shape",
          what + " has the shape " + shape_text(dims) + ", the pool has frames of [" + side(geometry.panels) + "," +
              side(geometry.height) + "," + side(geometry.width) + "]",
          "no frame was taken from it and the pool is as it was", remedy + " and start peaknetd again"};
}

}  // namespace peaknet::feed
