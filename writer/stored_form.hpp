// StoredForm: what of a frame goes into a file, before any compression: the image with its panels in their places, and
// the network's mask as one byte for each pixel (0 or 1), placed as the image is.
//
// A byte a pixel, and not a bit, so that every reader lays the mask over the image by the same indices without knowing
// how we pack bits. Compressed it costs about what the bits would (bitshuffle puts them together again); without
// compression it costs half of a 16-bit image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cxi/slab.hpp"

namespace peaknet::writer {

// A frame as the pool has it. All of it must stay as it is until what was made of it has been used.
struct FrameToStore {
  std::span<const std::byte> pixels = {};    // empty: no image is wanted
  std::span<const std::uint64_t> mask = {};  // bits; empty: no mask is wanted
  std::uint32_t panels = 1;
  std::uint32_t height = 0;  // of a panel
  std::uint32_t width = 0;
  std::size_t pixel_bytes = 0;
  const SlabLayout* slab = nullptr;  // null or without places: panels are stacked, as they are in memory
};

struct StoredBytes {
  std::span<const std::byte> image;
  std::span<const std::byte> segmentation;
};

// Keep one per thread: it keeps its buffers.
class StoredForm {
 public:
  // Valid until the next call.
  StoredBytes make(const FrameToStore& frame);

 private:
  struct Placed {
    std::vector<std::byte> bytes;  // between the panels it stays 0
    SlabLayout slab;
  };
  static std::span<const std::byte> place(const FrameToStore& frame, std::span<const std::byte> pixels,
                                          std::size_t pixel_bytes, Placed& placed);
  Placed image_;
  Placed segmentation_;
  std::vector<std::uint8_t> classes_;
};

}  // namespace peaknet::writer
