#include "cxi/tables.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>

#include "base/text.hpp"
#include "cxi/column_tables.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/nexus.hpp"
#include "cxi/run_tables.hpp"

namespace peaknet::writer {
namespace {

constexpr std::int32_t kCxiVersion = 160;

template <class T, class Get>
std::vector<T> column(const std::vector<StoredEvent>& events, Get&& get) {
  std::vector<T> values;
  values.reserve(events.size());
  for (const auto& stored : events) values.push_back(get(stored.event));
  return values;
}

void write_identifiers(H5Writer& out, const FileFacts& facts, const std::vector<StoredEvent>& events) {
  out.texts("/entry_1/experiment_identifier",
            column<std::string>(events, [](const Event& e) { return describe(e.key); }));
  out.soft_link("/entry_1/data_1/experiment_identifier", "/entry_1/experiment_identifier");
  out.attribute(kImageDataset, "axes", "experiment_identifier:y:x");
  if (facts.with_segmentation) out.attribute(kSegmentationDataset, "axes", "experiment_identifier:y:x");
}

// One row for each event, all as wide as this file's largest number of peaks: CrystFEL reads whole rows.
void write_peaks(H5Writer& out, const FileFacts& facts, const std::vector<StoredEvent>& events) {
  const std::string group = kPeakGroup;
  out.dataset(group + "nPeaks",
              column<std::int32_t>(events, [](const Event& e) { return static_cast<std::int32_t>(e.peaks.size()); }));
  out.attribute(group + "nPeaks", "axes", "experiment_identifier");
  out.attribute(group + "nPeaks", "minPeaks", facts.min_num_peak);
  out.attribute(group + "nPeaks", "maxPeaks", facts.max_num_peak);
  std::size_t width = 1;
  for (const auto& stored : events) width = std::max(width, stored.event.peaks.size());
  for (const auto& [name, value, everywhere] : kPeakColumns) {
    std::vector<float> cells(events.size() * width, 0.0F);
    for (std::size_t row = 0; row < events.size(); ++row) {
      const auto& peaks = events[row].event.peaks;
      for (std::size_t i = 0; i < peaks.size(); ++i) cells[row * width + i] = peaks[i].*value;
    }
    out.dataset(group + name, cells, width);
    out.attribute(group + name, "axes", "experiment_identifier:nPeaks");
  }
}

// Bits of a frame to pixels of the slab.
void add_bad(const FileFacts& facts, const SlabLayout& slab, std::vector<std::uint16_t>& mask) {
  if (facts.bad->words.empty()) return;
  const std::uint64_t* words = facts.bad->words.data();
  const std::uint64_t words_per_row = facts.mask_words() / (std::uint64_t{facts.panels} * facts.height);
  for (const PanelPlace& place : slab.places) {
    for (std::uint32_t y = 0; y < facts.height; ++y, words += words_per_row) {
      std::uint16_t* const row = mask.data() + (std::uint64_t{place.y} + y) * facts.slab_width() + place.x;
      for (std::uint32_t x = 0; x < facts.width; ++x) {
        if ((words[x / 64] >> x % 64 & 1) != 0) row[x] = 1;
      }
    }
  }
}

void write_mask(H5Writer& out, const FileFacts& facts, const std::vector<StoredEvent>& events) {
  out.packed_dataset(kMaskDataset, slab_mask(facts, events), facts.slab_width());
  out.attribute(kMaskDataset, "axes", "y:x");
}

// Only what is known: CrystFEL takes a photon energy of 0 or NaN without a word and indexes nothing with it. Where some
// events know their fiducial or encoder value and others do not, these have -1 and NaN.
void write_lcls(H5Writer& out, const FileFacts& facts, const std::vector<StoredEvent>& events) {
  if (facts.with_photon_energy) {
    out.dataset("/LCLS/photon_energy_eV", column<double>(events, [](const Event& e) { return e.photon_energy_ev; }));
  }
  const auto any = [&](auto&& known) {
    return std::any_of(events.begin(), events.end(), [&](const StoredEvent& stored) { return known(stored.event); });
  };
  if (any([](const Event& e) { return e.fiducial.has_value(); })) {
    out.dataset("/LCLS/fiducial", column<std::int32_t>(events, [](const Event& e) {
                  return e.fiducial ? static_cast<std::int32_t>(*e.fiducial) : -1;
                }));
  }
  if (any([](const Event& e) { return !std::isnan(e.encoder_value); })) {
    out.dataset("/LCLS/detector_1/EncoderValue",
                column<double>(events, [](const Event& e) { return e.encoder_value; }));
  }
  if (!any([](const Event& e) { return e.timestamp != 0; })) return;
  out.dataset("/LCLS/detector_1/timestamp", column<std::uint64_t>(events, [](const Event& e) { return e.timestamp; }));
  out.soft_link("/LCLS/timestamp", "/LCLS/detector_1/timestamp");
  out.dataset("/LCLS/machineTime", column<std::int64_t>(events, [](const Event& e) {
                return static_cast<std::int64_t>(e.timestamp >> 32);
              }));
  out.dataset("/LCLS/machineTimeNanoSeconds", column<std::int64_t>(events, [](const Event& e) {
                return static_cast<std::int64_t>(e.timestamp & 0xffffffffU);
              }));
}

void write_origin(H5Writer& out, const FileFacts& facts, const std::vector<StoredEvent>& events,
                  const Closing& closing) {
  const std::string group = "/entry_1/peaknet";
  if (facts.columns.empty()) out.group(group);  // else it is there
  out.texts(group + "/run", column<std::string>(events, [](const Event& e) { return e.key.run; }));
  out.dataset(group + "/producer", column<std::uint64_t>(events, [](const Event& e) { return e.key.producer; }));
  out.dataset(group + "/producer_seq",
              column<std::uint64_t>(events, [](const Event& e) { return e.key.producer_seq; }));
  out.dataset(group + "/event_id", column<std::uint64_t>(events, [](const Event& e) { return e.event_id; }));
  out.dataset(group + "/flags", column<std::uint32_t>(events, [](const Event& e) { return e.flags; }));
  if (std::any_of(events.begin(), events.end(), [](const StoredEvent& s) { return !s.event.source_run.empty(); })) {
    out.texts(group + "/source_run", column<std::string>(events, [](const Event& e) { return e.source_run; }));
  }
  // Of the images and masks as stored (checksum.hpp): what an audit compares.
  const auto write_checksums = [&](const char* name, std::optional<StoredChunk> StoredEvent::*chunk) {
    std::vector<std::uint32_t> checksums;
    for (const auto& stored : events) checksums.push_back((stored.*chunk).value_or(StoredChunk{}).checksum);
    out.dataset(group + name, checksums);
  };
  if (facts.with_images) write_checksums("/image_checksum", &StoredEvent::image);
  if (facts.with_segmentation) write_checksums("/segmentation_checksum", &StoredEvent::segmentation);
  std::vector<std::uint32_t> original;
  std::vector<std::uint32_t> pad;
  for (const auto& stored : events) {
    original.insert(original.end(), {stored.event.original_height, stored.event.original_width});
    pad.insert(pad.end(), {stored.event.pad_top, stored.event.pad_left});
  }
  out.dataset(group + "/original_size", original, 2);  // height, width of a panel before the producer padded it
  out.dataset(group + "/pad_offset", pad, 2);          // top, left

  out.text(group + "/config", facts.config);
  out.attribute(group, "run", facts.run);
  out.attribute(group, "instance", facts.instance);
  out.attribute(group, "instance_uuid", facts.instance_uuid);
  out.attribute(group, "writer", facts.writer);
  out.attribute(group, "host", facts.host);
  if (!facts.slab.places.empty()) {
    std::vector<std::uint32_t> places;
    for (const PanelPlace& place : facts.slab.places) places.insert(places.end(), {place.y, place.x});
    out.dataset(group + "/panel_places", places, 2);  // of each panel's first pixel in the slab: y, x
  }
  out.attribute(group, "version", facts.version);
  out.attribute(group, "hdf5_version", H5_VERS_INFO);
  out.attribute(group, "commit", facts.commit);
  out.attribute(group, "model", facts.model);
  out.attribute(group, "model_sha256", facts.model_sha256);
  // The same where the network left out the pixels that this file's mask and peaks leave out.
  out.attribute(group, "bad_pixels", facts.bad->digest);
  out.attribute(group, "bad_pixels_of_model", facts.bad->of_model.value_or("unknown"));
  out.attribute(group, "panels", facts.panels);
  out.attribute(group, "panel_height", facts.height);
  out.attribute(group, "panel_width", facts.width);
  out.attribute(group, "min_num_peak", facts.min_num_peak);
  out.attribute(group, "max_num_peak", facts.max_num_peak);
  out.attribute(group, "centroid", facts.centroid);
  out.attribute(group, "images", facts.with_images ? "hits" : "none");
  out.attribute(group, "segmentation", static_cast<std::uint8_t>(facts.with_segmentation));
  out.attribute(group, "compression", facts.filter == Filter::none ? "none" : "bitshuffle-lz4");
  if (!closing.accounting.empty()) {
    out.group(group + "/books");
    for (const auto& [name, value] : closing.accounting) out.attribute(group + "/books", name, value);
  }
  out.attribute(group, "recovered", static_cast<std::uint8_t>(closing.recovered));
  out.attribute(group, "events_lost", closing.events_lost);
  out.attribute(group, "complete", static_cast<std::uint8_t>(closing.events_lost == 0));
}

}  // namespace

std::vector<std::uint16_t> slab_mask(const FileFacts& facts, std::span<const StoredEvent> events) {
  const std::uint64_t width = facts.slab_width();
  const SlabLayout slab = facts.slab.places.empty() ? stacked(facts.panels, facts.height, facts.width) : facts.slab;
  std::vector<std::uint16_t> mask(facts.slab_height() * width, 1);
  std::set<std::array<std::uint32_t, 4>> inner;  // of a panel: the same for all events of a detector
  for (const auto& stored : events) {
    const Event& event = stored.event;
    const auto end = [](std::uint32_t pad, std::uint32_t size, std::uint32_t most) {
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, std::uint64_t{pad} + size));
    };
    const std::uint32_t bottom = end(event.pad_top, event.original_height, facts.height);
    const std::uint32_t right = end(event.pad_left, event.original_width, facts.width);
    inner.insert({event.pad_top, bottom, event.pad_left, right});
  }
  for (const auto& [top, bottom, left, right] : inner) {
    for (const PanelPlace& place : slab.places) {
      for (std::uint32_t y = top; y < bottom; ++y) {
        const auto row = mask.begin() + static_cast<std::ptrdiff_t>((std::uint64_t{place.y} + y) * width + place.x);
        if (left < right) std::fill(row + left, row + right, std::uint16_t{0});
      }
    }
  }
  add_bad(facts, slab, mask);
  return mask;
}

Status write_tables(hid_t file, const std::filesystem::path& path, const FileFacts& facts,
                    const std::vector<StoredEvent>& events, const Closing& closing) {
  H5Writer out(file, path);
  write_identifiers(out, facts, events);
  write_peaks(out, facts, events);
  write_mask(out, facts, events);
  write_lcls(out, facts, events);
  write_columns(out, facts.columns, events);
  write_origin(out, facts, events, closing);
  write_run_facts(out, facts.run_facts);
  out.number("/cxi_version", kCxiVersion);
  out.number("/number_of_entries", std::int32_t{1});
  out.attribute("/", "creation_time", iso_time(facts.created_ns));
  out.attribute("/", "num_events", static_cast<std::int64_t>(events.size()));
  out.attribute("/", "min_num_peak", facts.min_num_peak);
  if (auto written = out.status(); !written) return written;
  return write_nexus(file, path, facts, events);
}

std::uint64_t table_bytes(const FileFacts& facts, std::size_t events, std::size_t most_peaks) {
  constexpr std::uint64_t kFixed = std::uint64_t{128} << 10;  // groups, headers, attributes
  constexpr std::uint64_t kEvent = 640;  // identifiers with their heap, keys, times, entries of two chunk indices
  // Of a mask, compressed: hardly 1/100; scattered bad pixels cost some bytes each.
  const std::uint64_t mask_bytes = facts.slab_height() * facts.slab_width() * sizeof(std::uint16_t);
  const std::uint64_t mask = mask_bytes / 16 + std::min(mask_bytes, 4 * facts.bad->count);
  constexpr std::uint64_t kColumn = 2048;  // header, attributes, groups above it
  return kFixed + mask + nexus_bytes(facts.laboratory, events) + 16 * facts.slab.places.size() + facts.config.size() +
         kColumn * facts.columns.size() +
         events * (kEvent + facts.columns.row_bytes() + std::max<std::size_t>(1, most_peaks) * sizeof(PeakRow));
}

}  // namespace peaknet::writer
