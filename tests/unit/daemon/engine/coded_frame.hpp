// Coded frames: a frame whose pixels, description and mask all follow from its number, so that a mask, a picture or a
// description that belongs to another frame is seen at once.
//
// The model is builtin:threshold=kThreshold. Of the 48 places spread over all panels, 24 are above it: one of two for
// each bit of the number; the rest is noise below. A poisoned frame is one on which the ScriptedModel fails; for a
// blinding one it gives logits that are no numbers (on the host); a killer takes the device down (DeviceModel).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daemon/kernels/kernels.hpp"
#include "shm/consumer.hpp"
#include "shm/producer.hpp"

namespace peaknet::engine::test {

inline constexpr float kThreshold = 100.0F;
inline constexpr std::uint16_t kPeak = 200;
inline constexpr std::uint16_t kPoison = 60'000;
inline constexpr std::uint16_t kKiller = 50'000;
inline constexpr std::uint16_t kBlinding = 55'000;

enum class Nature : std::uint8_t { good, poisoned, killer, blinding };
inline std::uint16_t mark_of(Nature nature) {
  return nature == Nature::poisoned ? kPoison : nature == Nature::killer ? kKiller : kBlinding;
}

// Rows of two words with bits to spare, and room around the image.
inline shm::Geometry coded_geometry(std::uint32_t slots, std::uint32_t panels = 1) {
  return {slots, panels, 6, 70, PixelType::uint16};
}
inline kernels::FrameLayout coded_layout(const shm::Geometry& geometry) {
  kernels::FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(geometry.pixel_type);
  layout.panels = geometry.panels;
  layout.height = geometry.height;
  layout.width = geometry.width;
  layout.padded_height = 8;
  layout.padded_width = 96;
  layout.top = 1;
  layout.left = 13;
  return layout;
}

inline std::vector<std::size_t> peaks_of(std::uint64_t id, const shm::Geometry& geometry) {
  std::vector<std::size_t> places;
  for (std::size_t bit = 0; bit < 24; ++bit) places.push_back((2 * bit + (id >> bit & 1U)) * (geometry.pixels() / 48));
  return places;
}

inline void fill(shm::Frame& frame, std::uint64_t id, const shm::Geometry& geometry, Nature nature) {
  const auto pixels = frame.pixels<std::uint16_t>();
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>((id * 31 + i * 17) % 100);
  for (const std::size_t place : peaks_of(id, geometry)) pixels[place] = kPeak;
  if (nature != Nature::good) pixels.back() = mark_of(nature);
  frame.info().event_id = id;
  frame.info().timestamp = id << 32 | (id * 7 + 1);
  frame.info().photon_energy_ev = 9000.0 + static_cast<double>(id);
  frame.info().user = {id, ~id, id * 3, static_cast<std::uint64_t>(nature)};
  frame.info().set_source_run("source-" + std::to_string(id));
}

inline std::vector<std::uint64_t> mask_of(std::uint64_t id, const shm::Geometry& geometry) {
  std::vector<std::uint64_t> mask(geometry.mask_words(), 0);
  for (const std::size_t place : peaks_of(id, geometry)) {
    const std::size_t line = place / geometry.width;
    const std::size_t x = place % geometry.width;
    mask[line * geometry.words_per_row() + x / 64] |= std::uint64_t{1} << (x % 64);
  }
  return mask;
}

// "" if a result is that of the frame it says it is; else what is wrong.
inline std::string wrong_with(const shm::HeldFrame& frame) {
  const shm::FrameDescriptor& about = frame.descriptor();
  const std::uint64_t id = about.event_id;
  const std::string who = about.frame_name() + " (event " + std::to_string(id) + "): ";
  const bool bad = about.user[3] != static_cast<std::uint64_t>(Nature::good);
  if (about.timestamp != (id << 32 | (id * 7 + 1)) || about.photon_energy_ev != 9000.0 + static_cast<double>(id) ||
      about.user[0] != id || about.user[1] != ~id || about.user[2] != id * 3 ||
      about.source_run_id() != "source-" + std::to_string(id)) {
    return who + "its description is mixed with another frame's";
  }
  const auto status = static_cast<shm::ResultStatus>(about.result_status);
  if (status == shm::ResultStatus::skipped) return "";
  if (status != (bad ? shm::ResultStatus::error : shm::ResultStatus::mask)) {
    return who + (bad ? "bad" : "good") + ", but its result status is " + std::to_string(about.result_status);
  }
  if (bad) return "";
  const auto mask = frame.mask();
  if (std::vector<std::uint64_t>(mask.begin(), mask.end()) != mask_of(id, frame.geometry()))
    return who + "its mask is not its own";
  return "";
}

}  // namespace peaknet::engine::test
