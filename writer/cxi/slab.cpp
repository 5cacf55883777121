#include "writer/cxi/slab.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace peaknet::writer {
namespace {

// Of these a file can be read by the geometry: our images lie there, with these dimensions.
constexpr const char* kImages = "/entry_1/data_1/data";
constexpr std::uint64_t kMostEmpty = 4;  // a slab has at most this many times the pixels of a frame

bool overlap(const GeometryPanel& a, const GeometryPanel& b) {
  return a.min_fs <= b.max_fs && b.min_fs <= a.max_fs && a.min_ss <= b.max_ss && b.min_ss <= a.max_ss;
}

std::string size_text(std::uint64_t height, std::uint64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

// "" if a file of ours can be read by this panel's keys, else what hinders it.
std::string unreadable(const GeometryPanel& panel) {
  if (panel.data != kImages) {
    return "it takes panel " + panel.name + " from '" + panel.data + "'; our images are in 'data = " + kImages + "'";
  }
  const std::map<int, std::string> ours = {{0, "%"}, {1, "ss"}, {2, "fs"}};
  if (panel.dim != ours) {
    return "panel " + panel.name +
           " does not lie in an array of events, rows and columns; ours needs 'dim0 = %', 'dim1 = ss', 'dim2 = fs'";
  }
  return "";
}

}  // namespace

SlabLayout stacked(std::uint32_t panels, std::uint32_t height, std::uint32_t width) {
  SlabLayout slab{panels * height, width, {}};
  for (std::uint32_t panel = 0; panel < panels; ++panel) slab.places.push_back({panel * height, 0});
  return slab;
}

bool is_stacked(const SlabLayout& slab, std::uint32_t height, std::uint32_t width) {
  return slab == stacked(static_cast<std::uint32_t>(slab.places.size()), height, width);
}

Result<SlabLayout> place_panels(const CrystfelGeometry& geometry, std::uint32_t panels, std::uint32_t height,
                                std::uint32_t width) {
  const auto refuse = [&](const std::string& why) {
    return Error{
        "geometry.does-not-fit",
        geometry.source + " does not fit frames of " + std::to_string(panels) + " panels of " +
            size_text(height, width) + ": " + why,
        "no file was written",
        "name the geometry file of this detector in output.geometry, or leave it empty: panels are then stacked"};
  };
  for (const GeometryPanel& panel : geometry.panels) {
    if (const std::string why = unreadable(panel); !why.empty()) return refuse(why);
  }
  for (std::size_t i = 0; i < geometry.panels.size(); ++i) {
    for (std::size_t k = i + 1; k < geometry.panels.size(); ++k) {
      if (overlap(geometry.panels[i], geometry.panels[k]))
        return refuse("its panels " + geometry.panels[i].name + " and " + geometry.panels[k].name + " overlap");
    }
  }
  SlabLayout slab;
  const std::uint64_t pixels = std::uint64_t{height} * width;
  for (std::size_t next = 0; next < geometry.panels.size();) {
    // Panels of the geometry that do not overlap and together have the pixels of a box fill it.
    const GeometryPanel& first = geometry.panels[next];
    GeometryPanel box = first;
    std::uint64_t filled = 0;
    std::string last;
    while (next < geometry.panels.size() && filled < pixels) {
      const GeometryPanel& part = geometry.panels[next++];
      filled += std::uint64_t{part.height()} * part.width();
      box.min_fs = std::min(box.min_fs, part.min_fs);
      box.max_fs = std::max(box.max_fs, part.max_fs);
      box.min_ss = std::min(box.min_ss, part.min_ss);
      box.max_ss = std::max(box.max_ss, part.max_ss);
      last = part.name;
    }
    if (filled != pixels || box.height() != height || box.width() != width) {
      return refuse("its panels from " + first.name + " to " + last + " (" + std::to_string(filled) +
                    " pixels in a box of " + size_text(box.height(), box.width()) + ") do not make panel " +
                    std::to_string(slab.places.size()) + " of the frame");
    }
    slab.places.push_back({box.min_ss, box.min_fs});
    slab.height = std::max(slab.height, box.max_ss + 1);
    slab.width = std::max(slab.width, box.max_fs + 1);
  }
  if (slab.places.size() != panels)
    return refuse("it has " + std::to_string(slab.places.size()) + " panels of that size");
  if (std::uint64_t{slab.height} * slab.width > kMostEmpty * panels * pixels)
    return refuse("most of its " + size_text(slab.height, slab.width) + " pixels belong to no panel");
  return slab;
}

void fill_slab(const SlabLayout& slab, std::uint32_t height, std::uint32_t width, std::size_t pixel_bytes,
               std::span<const std::byte> frame, std::span<std::byte> slab_pixels) {
  const std::size_t row_bytes = width * pixel_bytes;
  const std::byte* from = frame.data();
  for (const PanelPlace& place : slab.places) {
    for (std::uint32_t y = 0; y < height; ++y, from += row_bytes) {
      std::byte* const to = slab_pixels.data() + ((std::size_t{place.y} + y) * slab.width + place.x) * pixel_bytes;
      std::memcpy(to, from, row_bytes);
    }
  }
}

}  // namespace peaknet::writer
