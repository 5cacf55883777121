// BadPixels: the pixels that preprocess.bad_pixels marks, for the feed: what stands there does not decide whether the
// pool can hold a frame (pixel_convert.hpp).
//
// They are read by the same code as in peaknetd and the writer, and their digest is compared with the one that peaknetd
// entered beside its newest model: where they differ, that is said (preprocess.other-mask), and the feed goes on.
//
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "feed/frame_source.hpp"
#include "shm/producer.hpp"

namespace peaknet::feed {

using BadPixels = std::vector<std::uint8_t>;  // not 0 where a pixel is bad; empty: none is marked

// For the frames of this pool. Errors: those of config/pixel_values.hpp.
Result<BadPixels> read_bad_pixels(const config::Config& config, shm::Producer& producer);

// Another source, whose slots know the bad pixels; they must outlive it.
class MarkedSource : public FrameSource {
 public:
  MarkedSource(std::unique_ptr<FrameSource> source, std::span<const std::uint8_t> bad)
      : source_(std::move(source)), bad_(bad) {}
  const shm::Geometry& geometry() const override { return source_->geometry(); }
  std::uint64_t size() const override { return source_->size(); }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override {
    slot.bad = bad_;
    return source_->fill(index, slot);
  }

 private:
  std::unique_ptr<FrameSource> source_;
  std::span<const std::uint8_t> bad_;
};

}  // namespace peaknet::feed
