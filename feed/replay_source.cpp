#include "feed/replay_source.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "feed/event_facts.hpp"
#include "shm/copy_image.hpp"

namespace peaknet::feed {

ReplaySource::ReplaySource(std::vector<std::unique_ptr<FrameSource>> sources, std::uint64_t repeat,
                           std::uint64_t blank_between)
    : sources_(std::move(sources)), stride_(blank_between + 1) {
  for (const auto& source : sources_) frames_ += source->size();
  if (frames_ == 0) return;
  constexpr std::uint64_t kForEver = std::numeric_limits<std::uint64_t>::max() / 4;
  std::uint64_t played = 0;
  if (repeat == 0 || __builtin_mul_overflow(frames_, repeat, &played) || played > kForEver / stride_) {
    size_ = kForEver;
  } else {
    size_ = played * stride_ - blank_between;
  }
}

Result<Filled> ReplaySource::fill(std::uint64_t index, SlotView slot) {
  const std::uint64_t played = index / stride_, blank = index % stride_;
  std::uint64_t frame = played % frames_;
  std::size_t source = 0;
  while (frame >= sources_[source]->size()) frame -= sources_[source++]->size();
  Result<Filled> filled{Filled{}};
  if (blank == 0) {
    filled = sources_[source]->fill(frame, slot);
  } else {
    std::fill(slot.image.begin(), slot.image.end(), std::byte{0});
    slot.info.event_id = frame;
    filled->blank = true;
  }
  slot.info.user = {blank, played / frames_, source, 0};
  return filled;
}

Result<std::unique_ptr<PreloadedSource>> PreloadedSource::load(FrameSource& source, bool keep_bad,
                                                               const shm::ColumnTable& columns) {
  const shm::Geometry& geometry = source.geometry();
  auto loaded = std::unique_ptr<PreloadedSource>(new PreloadedSource(geometry, columns));
  loaded->frames_.reserve(source.size());
  for (std::uint64_t i = 0; i < source.size(); ++i) {
    Kept kept{std::vector<std::byte>(geometry.image_bytes()), {}, Filled{}};
    kept.info.photon_energy_ev = kUnknownEnergy;
    kept.columns.resize(columns.row_bytes());
    kept.filled = source.fill(i, {kept.image, kept.info, {}, {columns, kept.columns.data(), kept.known}});
    const bool bad = !kept.filled.ok();
    if (bad && !keep_bad && kept.filled.error().id != "frame.absent") return kept.filled.error();
    if (bad) kept.image.clear();
    loaded->frames_.push_back(std::move(kept));
  }
  return loaded;
}

Result<Filled> PreloadedSource::fill(std::uint64_t index, SlotView slot) {
  const Kept& kept = frames_[index];
  if (!kept.filled) return kept.filled.error();
  shm::copy_image(slot.image.data(), kept.image);
  slot.info.event_id = kept.info.event_id;
  slot.info.timestamp = kept.info.timestamp;
  slot.info.photon_energy_ev = kept.info.photon_energy_ev;
  slot.info.encoder_value = kept.info.encoder_value;
  slot.info.fiducial = kept.info.fiducial;
  Filled filled = *kept.filled;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if ((kept.known >> i & 1U) == 0 || !slot.columns.any()) continue;
    const auto place = slot.columns.table().find(columns_[i].name);
    const Status put = place ? slot.columns.put(*place, columns_[i].type, columns_.values(kept.columns, i))
                             : slot.columns.table().no_such(columns_[i].name);
    if (!put && !filled.column) filled.column = put.error();
  }
  return filled;
}

}  // namespace peaknet::feed
