#include "writer/stored_form.hpp"

#include "peaks/mask_bits.hpp"

namespace peaknet::writer {

std::span<const std::byte> StoredForm::place(const FrameToStore& frame, std::span<const std::byte> pixels,
                                             std::size_t pixel_bytes, Placed& placed) {
  if (pixels.empty() || frame.slab == nullptr || frame.slab->places.empty()) return pixels;
  const std::size_t bytes = std::size_t{frame.slab->height} * frame.slab->width * pixel_bytes;
  if (placed.bytes.size() != bytes || placed.slab != *frame.slab) {
    placed.bytes.assign(bytes, std::byte{0});
    placed.slab = *frame.slab;
  }
  fill_slab(*frame.slab, frame.height, frame.width, pixel_bytes, pixels, placed.bytes);
  return placed.bytes;
}

StoredBytes StoredForm::make(const FrameToStore& frame) {
  std::span<const std::byte> mask;
  if (!frame.mask.empty()) {
    unpack_mask(frame.mask, frame.panels, frame.height, frame.width, classes_);
    mask = std::as_bytes(std::span(classes_));
  }
  return {place(frame, frame.pixels, frame.pixel_bytes, image_), place(frame, mask, 1, segmentation_)};
}

}  // namespace peaknet::writer
