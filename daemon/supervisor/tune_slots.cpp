#include "daemon/supervisor/tune_slots.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/text.hpp"
#include "daemon/supervisor/pool_options.hpp"

namespace peaknet::supervisor {
namespace {

constexpr const char* kPurpose = "for tune";

Error no_memory(const shm::Geometry& geometry, const std::string& why) {
  return {"tune.no-memory",
          std::to_string(geometry.slots) + " slots of " + shm::describe(geometry) + " are not to be had: " + why,
          "nothing was measured", "a smaller engine.batch or pool.shape"};
}

}  // namespace

void TuneSlots::Free::operator()(std::byte* memory) const { std::free(memory); }

TuneSlots::TuneSlots(const shm::Geometry& geometry, std::optional<shm::Segment> segment,
                     std::unique_ptr<std::byte, Free> own, std::string note)
    : geometry_(geometry), segment_(std::move(segment)), own_(std::move(own)) {
  const std::size_t bytes = std::size_t{geometry.slots} * geometry.slot_stride();
  payload_ = {segment_ ? static_cast<std::byte*>(segment_->data()) : own_.get(), bytes};
  told_ = {.shared = segment_.has_value(), .slots = geometry.slots, .bytes = bytes, .note = std::move(note)};
}

Result<std::shared_ptr<TuneSlots>> TuneSlots::make(const config::Config& config, std::uint32_t needed) {
  auto geometry = config.geometry();
  std::string note;
  for (const std::uint32_t slots : {std::max(geometry.slots, needed), needed}) {
    if (!note.empty() && slots == geometry.slots) continue;  // there was no room for so many
    geometry.slots = slots;
    const std::size_t bytes = std::size_t{slots} * geometry.slot_stride();
    auto segment = shm::Segment::create_nameless(kPurpose, bytes, pool_options(config));
    if (!segment) {
      note = segment.error().what;
      continue;
    }
    if (config.pool.lock) {
      if (const auto locked = segment->lock(); !locked) note += (note.empty() ? "" : "; ") + locked.error().what;
    }
    return std::shared_ptr<TuneSlots>(new TuneSlots(geometry, std::move(*segment), nullptr, std::move(note)));
  }
  const std::size_t bytes = std::size_t{needed} * geometry.slot_stride();
  std::unique_ptr<std::byte, Free> own(static_cast<std::byte*>(
      std::aligned_alloc(shm::kPayloadAlignment, shm::Geometry::round_up(bytes, shm::kPayloadAlignment))));
  if (!own) return no_memory(geometry, note + "; and this process cannot have " + human_bytes(bytes));
  std::memset(own.get(), 0, bytes);  // pages that nobody wrote are all the same one
  return std::shared_ptr<TuneSlots>(new TuneSlots(geometry, std::nullopt, std::move(own), std::move(note)));
}

}  // namespace peaknet::supervisor
