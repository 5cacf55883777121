// Batch: what the dialects of lclstreamer have in common. A message holds B events as one array of images, (B,C,H,W),
// or (B*C,1,H,W) with the panels merged, or (B,H,W) for one panel; with it an optional time and wavelength per event,
// and an optional original shape [B,C,H,W] from before the sender padded the images.
//
// A pool of the padded shape takes the images as they are and the descriptor says where the original lies in them; a
// pool of the original shape takes the original part alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/column.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/event_columns.hpp"
#include "feed/frame_source.hpp"
#include "feed/sample_type.hpp"

namespace peaknet::feed {

// How a batch lies in its message and in the pool.
struct BatchLayout {
  std::uint64_t events = 0;
  std::uint64_t panels = 0, height = 0, width = 0;        // of an event in the message
  std::uint32_t original_height = 0, original_width = 0;  // the part that the detector measured ...
  std::uint32_t top = 0, left = 0;                        // ... and where it begins in the message's panels
  bool crop = false;                                      // the pool takes that part alone

  std::uint64_t event_pixels() const { return panels * height * width; }
};

// `dims` of the image array, `original` the original shape ([B,C,H,W]) where the message has one, `known_events` how
// many times or wavelengths it has. Everything is checked against the pool and the limits. Errors: frame.shape,
// message.too-many-events, message.too-large, message.bad-field.
Result<BatchLayout> plan_batch(std::span<const std::uint64_t> dims, SampleType type,
                               std::span<const std::uint64_t> original, std::optional<std::uint64_t> known_events,
                               const shm::Geometry& geometry, const DecodeOptions& options);

struct BatchFacts {
  std::vector<std::uint64_t> timestamps;  // empty or one per event
  std::vector<double> energies;           // eV; empty or one per event
  std::string source_run;                 // the sender's name for its run; empty: it has none
  EventColumns columns = {};
};

// The bytes of one event in the message's number type: event_pixels() numbers, valid until the next call.
using EventBytes = std::function<Result<std::span<const std::byte>>(std::uint64_t event)>;

class BatchSource : public FrameSource {
 public:
  BatchSource(const shm::Geometry& geometry, const BatchLayout& plan, SampleType type, EventBytes bytes,
              BatchFacts facts, bool normalised)
      : geometry_(geometry),
        plan_(plan),
        type_(type),
        bytes_(std::move(bytes)),
        facts_(std::move(facts)),
        normalised_(normalised) {}

  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return plan_.events; }
  // event_id is the index in the message; whoever knows of more messages gives a better one. Float64 is rounded to
  // float32. An image that is where it is asked for already (it was unpacked into a landing) is as it must be.
  // Errors: frame.value, and those of EventBytes.
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

 private:
  std::uint64_t first_of_row(std::uint64_t run) const;
  std::vector<std::uint8_t> bad_in_event(std::span<const std::uint8_t> bad) const;
  shm::Geometry geometry_;
  BatchLayout plan_;
  SampleType type_;
  EventBytes bytes_;
  BatchFacts facts_;
  bool normalised_;
};

}  // namespace peaknet::feed
