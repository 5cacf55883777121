#include "hits/event_builder.hpp"

#include <cmath>

#include "peaks/select_strongest.hpp"

namespace peaknet::writer {
namespace {

// A mask with more components than this is a broken network, not data.
PeakFinderOptions finder_options(const config::Config::Peaks& settings) {
  return {.max_components = std::size_t{4} * settings.max_num_peak};
}

Event describe_frame(const shm::FrameDescriptor& descriptor) {
  Event event;
  event.key = key_of(descriptor);
  event.event_id = descriptor.event_id;
  event.timestamp = descriptor.timestamp;
  event.photon_energy_ev = descriptor.photon_energy_ev;
  if (descriptor.fiducial != shm::kNoFiducial) event.fiducial = descriptor.fiducial;
  event.encoder_value = descriptor.encoder_value;
  event.source_run = descriptor.source_run_id();
  event.flags = descriptor.flags;
  event.model = descriptor.model;
  event.original_height = descriptor.original_height;
  event.original_width = descriptor.original_width;
  event.pad_top = descriptor.pad_top;
  event.pad_left = descriptor.pad_left;
  return event;
}

Verdict ends_as(shm::Counter outcome) {
  Verdict verdict;
  verdict.outcome = outcome;
  return verdict;
}

}  // namespace

EventKey key_of(const shm::FrameDescriptor& descriptor) {
  return {std::string(descriptor.run_id()), descriptor.producer, descriptor.producer_seq};
}

EventBuilder::EventBuilder(const config::Config::Peaks& settings)
    : settings_(settings), finder_(finder_options(settings)) {}

Verdict EventBuilder::examine(const shm::HeldFrame& frame, const SlabLayout& slab, const BadMask& bad) {
  Verdict verdict =
      examine(ResultFrame{frame.descriptor(), frame.geometry(), frame.mask(), frame.image().data()}, slab, bad);
  if (!verdict.outcome) verdict.event.columns = frame.columns();
  return verdict;
}

Verdict EventBuilder::examine(const ResultFrame& frame, const SlabLayout& slab, const BadMask& bad) {
  const shm::FrameDescriptor& descriptor = frame.descriptor;
  if (descriptor.result_status == static_cast<std::uint32_t>(shm::ResultStatus::skipped))
    return ends_as(shm::Counter::dropped_shed);
  if (descriptor.result_status != static_cast<std::uint32_t>(shm::ResultStatus::mask))
    return ends_as(shm::Counter::failed_model);
  const shm::Geometry& geometry = frame.geometry;
  const MaskView mask{frame.mask.data(),
                      geometry.panels,
                      geometry.height,
                      geometry.width,
                      descriptor.pad_top + descriptor.original_height,
                      descriptor.pad_left + descriptor.original_width,
                      bad.words.empty() ? nullptr : bad.words.data()};
  const PeakSearch search = finder_.find(mask, {frame.image, geometry.pixel_type}, peaks_);
  if (search.too_many) return ends_as(shm::Counter::failed_mask);
  if (descriptor.pad_top > 0 || descriptor.pad_left > 0) {
    std::erase_if(peaks_,
                  [&](const Peak& peak) { return peak.y < descriptor.pad_top || peak.x < descriptor.pad_left; });
  }
  Verdict verdict;
  verdict.peaks_found = peaks_.size();
  if (peaks_.size() < settings_.min_num_peak) {
    verdict.outcome = shm::Counter::filtered;
    return verdict;
  }
  verdict.peaks_cut = keep_strongest(peaks_, settings_.max_num_peak);
  verdict.event = describe_frame(descriptor);
  verdict.event.peaks.reserve(peaks_.size());
  const bool weighted = settings_.centroid == config::Centroid::weighted;
  for (const Peak& peak : peaks_) {
    const double y = weighted ? peak.y_weighted : peak.y;
    const double x = weighted ? peak.x_weighted : peak.x;
    const PanelPlace place =
        slab.places.empty() ? PanelPlace{peak.panel * geometry.height, 0} : slab.places[peak.panel];
    verdict.event.peaks.push_back({.x = static_cast<float>(x + place.x),
                                   .y = static_cast<float>(y + place.y),
                                   .total = static_cast<float>(peak.sum),
                                   .maximum = static_cast<float>(peak.max),
                                   .n_pixels = static_cast<float>(peak.n_pixels),
                                   .snr = static_cast<float>(peak.snr),
                                   .panel = static_cast<float>(peak.panel)});
  }
  return verdict;
}

}  // namespace peaknet::writer
