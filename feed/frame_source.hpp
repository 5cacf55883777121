// FrameSource: where frames come from. The one interface that replay, simulate and listen share, and the extension
// point for sources of your own: a numbered row of frames, each of which can be written into a claimed slot.
//
// A source is made for one geometry (the pool's) and checks everything that can be checked at once when it is made:
// after that only single frames can be refused. It owns no slot and knows no pool: `deliver` (deliver.hpp) brings the
// two together. One thread uses one source at a time, unless the source says more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "shm/descriptor.hpp"
#include "shm/geometry.hpp"

namespace peaknet::feed {

// A claimed slot as a source sees it.
struct SlotView {
  std::span<std::byte> image;  // C*H*W pixels of the pool's type; holds what the slot's last frame left there
  shm::FrameDescriptor& info;  // fresh: shape and type are set, nothing else is known yet
  // Not 0 for each pixel of preprocess.bad_pixels: its value does not decide whether the pool can hold the frame; or
  // empty.
  std::span<const std::uint8_t> bad = {};
};

struct Filled {
  bool narrowed = false;        // float64 pixels were rounded to float32, and at least one of them changed by it
  std::uint64_t no_counts = 0;  // pixels that hold no count and got the pool's value for that (pixel_convert.hpp)
  // Of a recorded message: when it was received, in nanoseconds since 1970.
  std::optional<std::int64_t> received_ns = std::nullopt;
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;

  // What the frames were checked against; `slots` means nothing here.
  virtual const shm::Geometry& geometry() const = 0;
  virtual std::uint64_t size() const = 0;

  // Write frame `index` (below size()) into the slot: all of its pixels, and what is known about it. Any frame may be
  // asked for at any time, and left out: one that the pool's policy refuses is never read. Errors: this frame cannot be
  // had, the others may be; the slot must then not be committed.
  virtual Result<Filled> fill(std::uint64_t index, SlotView slot) = 0;
};

}  // namespace peaknet::feed
