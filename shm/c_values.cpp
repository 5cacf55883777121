#include "shm/c_values.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace peaknet::shm::c_api {
namespace {

template <std::size_t Bytes>
void copy_text(char (&to)[Bytes], std::string_view from) {
  std::memset(to, 0, Bytes);
  from.copy(to, Bytes - 1);
}

}  // namespace

peaknet_geometry to_c(const Geometry& geometry) {
  return {.slots = geometry.slots,
          .panels = geometry.panels,
          .height = geometry.height,
          .width = geometry.width,
          .pixel_type = static_cast<peaknet_pixel_type>(geometry.pixel_type),
          .mask_words_per_row = static_cast<std::uint32_t>(geometry.words_per_row()),
          .image_bytes = geometry.image_bytes(),
          .mask_bytes = geometry.mask_bytes()};
}

peaknet_status column_at(const ColumnTable& table, std::uint32_t index, peaknet_column& column) {
  const auto records = table.records();
  if (index >= records.size()) return PEAKNET_NOTHING;
  static_assert(sizeof column == sizeof records.front());
  std::memcpy(&column, &records[index], sizeof column);
  return PEAKNET_OK;
}

peaknet_info info_of(const FrameDescriptor& from) {
  peaknet_info info{};
  info.event_id = from.event_id;
  info.timestamp = from.timestamp;
  info.photon_energy_ev = from.photon_energy_ev;
  info.encoder_value = from.encoder_value;
  copy_text(info.source_run, from.source_run_id());
  info.flags = from.flags;
  info.original_height = from.original_height;
  info.original_width = from.original_width;
  info.pad_top = from.pad_top;
  info.pad_left = from.pad_left;
  info.fiducial = from.fiducial;
  std::ranges::copy(from.user, info.user);
  return info;
}

void apply(const peaknet_info& info, FrameDescriptor& to) {
  to.event_id = info.event_id;
  to.timestamp = info.timestamp;
  to.photon_energy_ev = info.photon_energy_ev;
  to.encoder_value = info.encoder_value;
  to.set_source_run({info.source_run, strnlen(info.source_run, sizeof info.source_run)});
  to.flags = info.flags;
  to.original_height = info.original_height;
  to.original_width = info.original_width;
  to.pad_top = info.pad_top;
  to.pad_left = info.pad_left;
  to.fiducial = info.fiducial;
  std::ranges::copy(info.user, to.user.begin());
}

peaknet_descriptor to_c(const FrameDescriptor& from, std::uint64_t sequence, std::uint32_t attempts, SlotState state) {
  peaknet_descriptor to{};
  to.info = info_of(from);
  copy_text(to.run, from.run_id());
  to.producer = from.producer;
  to.producer_seq = from.producer_seq;
  to.sequence = sequence;
  to.last_writer = from.last_writer;
  to.attempts = attempts;
  to.result = from.result_status;
  to.state = static_cast<peaknet_slot_state>(state);
  to.pixel_type = from.pixel_type;
  to.panels = from.panels;
  to.height = from.height;
  to.width = from.width;
  to.claim_ns = from.claim_ns;
  to.commit_ns = from.commit_ns;
  to.take_ns = from.take_ns;
  to.done_ns = from.done_ns;
  return to;
}

}  // namespace peaknet::shm::c_api
