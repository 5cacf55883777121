#include "feed/decoders/batch.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "feed/frame_shape.hpp"
#include "feed/pixel_convert.hpp"

namespace peaknet::feed {
namespace {

Error too_many(std::uint64_t events, const DecodeLimits& limits) {
  return {"message.too-many-events",
          "a message claims " + std::to_string(events) + " events, at most " + std::to_string(limits.events) +
              " are allowed",
          "it was not used; the next message is served", "send fewer events in one message"};
}

}  // namespace

Result<BatchLayout> plan_batch(std::span<const std::uint64_t> dims, SampleType type,
                               std::span<const std::uint64_t> original, std::optional<std::uint64_t> known_events,
                               const shm::Geometry& geometry, const DecodeOptions& options) {
  const auto wrong_shape = [&] {
    return shape_error("the field '" + options.image + "' of a message", dims, geometry);
  };
  if (dims.size() != 4 && dims.size() != 3) return wrong_shape();
  if (!original.empty() && original.size() != 4) {
    return bad_field(options.image + "_original_shape",
                     "has " + std::to_string(original.size()) + " numbers instead of 4");
  }
  if (!original.empty() && original[1] != geometry.panels) {
    return shape_error("an event of a message (original shape)", original, geometry);
  }
  BatchLayout plan;
  plan.events = dims[0];
  plan.panels = dims.size() == 4 ? dims[1] : 1;
  plan.height = dims[dims.size() - 2];
  plan.width = dims[dims.size() - 1];
  if (plan.panels == 1 && geometry.panels > 1) {
    // Merged: the rows of the array are panels.
    plan.panels = geometry.panels;
    plan.events = dims[0] / geometry.panels;
    if (dims[0] % geometry.panels != 0) return wrong_shape();
  }
  if (plan.panels != geometry.panels) return wrong_shape();
  if (plan.events > options.limits.events) return too_many(plan.events, options.limits);
  const bool panels_for_events = known_events && *known_events > 1 && plan.events > 0 && *known_events != plan.events &&
                                 (*known_events % plan.events == 0 || plan.events % *known_events == 0);
  if (panels_for_events) {
    return bad_field(options.image, "has " + std::to_string(plan.events) + " events of " + std::to_string(plan.panels) +
                                        " panels, other fields have " + std::to_string(*known_events));
  }

  std::uint64_t measured_height = plan.height, measured_width = plan.width;
  if (!original.empty()) {
    if (original[0] != plan.events || original[1] != plan.panels || original[2] < 1 || original[2] > plan.height ||
        original[3] < 1 || original[3] > plan.width) {
      return bad_field(options.image + "_original_shape",
                       "is " + shape_text(original) + ", which does not fit the images " + shape_text(dims));
    }
    measured_height = original[2];
    measured_width = original[3];
  }
  const bool whole = plan.height == geometry.height && plan.width == geometry.width;
  plan.crop = !whole && measured_height == geometry.height && measured_width == geometry.width;
  if (!whole && !plan.crop) return wrong_shape();
  // A frame of the pool has at most 2^30 pixels, but what is cropped away is bounded only here.
  std::uint64_t bytes = size_of(type);
  for (const std::uint64_t n : {plan.height, plan.width, plan.panels, plan.events}) {
    if (__builtin_mul_overflow(bytes, n, &bytes) || bytes > options.limits.unpacked_bytes) {
      return Error{"message.too-large",
                   "the images " + shape_text(dims) + " of a message are larger than the " +
                       human_bytes(options.limits.unpacked_bytes) + " allowed",
                   "it was not used; the next message is served", "send fewer images in one message"};
    }
  }
  plan.original_height = static_cast<std::uint32_t>(measured_height);
  plan.original_width = static_cast<std::uint32_t>(measured_width);
  if (options.pad == config::PadStyle::center) {
    plan.top = static_cast<std::uint32_t>((plan.height - measured_height) / 2);
    plan.left = static_cast<std::uint32_t>((plan.width - measured_width) / 2);
  }
  return plan;
}

// The pool's bad pixels where they lie in the message; what is cropped away does not matter either.
std::vector<std::uint8_t> BatchSource::bad_in_event(std::span<const std::uint8_t> bad) const {
  if (!plan_.crop) return {bad.begin(), bad.end()};
  std::vector<std::uint8_t> all(plan_.event_pixels(), 1);
  for (std::uint64_t run = 0; run < plan_.panels * geometry_.height; ++run) {
    const auto row = all.begin() + static_cast<std::ptrdiff_t>(first_of_row(run));
    if (bad.empty()) {
      std::fill_n(row, geometry_.width, std::uint8_t{0});
    } else {
      std::copy_n(bad.begin() + static_cast<std::ptrdiff_t>(run * geometry_.width), geometry_.width, row);
    }
  }
  return all;
}

// Where the pool's row `run` begins in an event that is cropped.
std::uint64_t BatchSource::first_of_row(std::uint64_t run) const {
  const std::uint64_t panel = run / geometry_.height, row = run % geometry_.height;
  return (panel * plan_.height + plan_.top + row) * plan_.width + plan_.left;
}

Result<Filled> BatchSource::fill(std::uint64_t index, SlotView slot) {
  const auto bytes = bytes_(index);
  if (!bytes) return bytes.error();
  const std::byte* event = bytes->data();
  const std::size_t sample = size_of(type_), pixel = size_of(geometry_.pixel_type);
  Filled filled;

  // One run of pixels if the message's panels are the pool's, else row by row.
  const bool there = event == slot.image.data();
  const std::uint64_t runs = there ? 0 : plan_.crop ? plan_.panels * geometry_.height : 1;
  const std::size_t length = plan_.crop ? geometry_.width : plan_.event_pixels();
  for (std::uint64_t run = 0; run < runs; ++run) {
    const std::uint64_t first = plan_.crop ? first_of_row(run) : std::uint64_t{0};
    const auto bad = slot.bad.empty() ? slot.bad : slot.bad.subspan(run * length, length);
    const auto conversion = convert_pixels(event + first * sample, type_, slot.image.data() + run * length * pixel,
                                           geometry_.pixel_type, length, Narrowing::allow, bad);
    if (conversion.misfit) {
      const std::uint64_t at = first + *conversion.misfit, area = plan_.height * plan_.width;
      return misfit_error("event " + std::to_string(index) + " of a message, panel " + std::to_string(at / area) +
                              ", y " + std::to_string(at % area / plan_.width) + ", x " +
                              std::to_string(at % plan_.width),
                          event, at, plan_.event_pixels(), type_, geometry_.pixel_type, bad_in_event(slot.bad));
    }
    filled.narrowed = filled.narrowed || conversion.narrowed;
    filled.no_counts += conversion.no_counts;
  }

  slot.info.event_id = index;
  if (!facts_.timestamps.empty()) slot.info.timestamp = facts_.timestamps[index];
  if (!facts_.energies.empty()) slot.info.photon_energy_ev = facts_.energies[index];
  if (!facts_.source_run.empty()) slot.info.set_source_run(facts_.source_run);
  if (auto put = facts_.columns.put(index, slot.columns); !put) filled.column = put.error();
  if (normalised_) slot.info.flags |= shm::kFlagNormalised;
  if (!plan_.crop) {
    slot.info.original_height = plan_.original_height;
    slot.info.original_width = plan_.original_width;
    slot.info.pad_top = plan_.top;
    slot.info.pad_left = plan_.left;
  }
  return filled;
}

}  // namespace peaknet::feed
