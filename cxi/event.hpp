// What a file holds: its events, and the facts about how it was made. Plain values without HDF5 or shared memory, so
// that a ledger can carry all of it and a file can be made again from a ledger.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/pixel_type.hpp"
#include "cxi/laboratory.hpp"
#include "cxi/slab.hpp"
#include "shm/columns.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::writer {

// Names a frame for ever: no two frames of one instance have the same.
struct EventKey {
  std::string run;
  std::uint64_t producer = 0;
  std::uint64_t producer_seq = 0;
  // clang-tidy 14 takes the comparison with 0 that this means for a null pointer.
  auto operator<=>(const EventKey&) const = default;  // NOLINT(modernize-use-nullptr)
};

// "run 0217 producer 3 frame 1207": the event's experiment_identifier in a file, and its name in messages.
inline std::string describe(const EventKey& key) {
  return "run " + key.run + " producer " + std::to_string(key.producer) + " frame " + std::to_string(key.producer_seq);
}

// One peak as the file's columns have it: positions in the slab (slab.hpp), 0 = centre of the first pixel.
struct PeakRow {
  float x = 0;
  float y = 0;
  float total = 0;
  float maximum = 0;
  float n_pixels = 0;
  float snr = 0;
  float panel = 0;
  bool operator==(const PeakRow&) const = default;
};

struct Event {
  EventKey key;
  std::uint64_t event_id = 0;
  std::uint64_t timestamp = 0;                                         // seconds << 32 | nanoseconds; 0: not known
  double photon_energy_ev = std::numeric_limits<double>::quiet_NaN();  // NaN: not known
  std::optional<std::uint32_t> fiducial;
  double encoder_value = std::numeric_limits<double>::quiet_NaN();  // mm; NaN: not known
  std::string source_run;
  std::uint64_t model = 0;  // number of the model that made the mask; a file has the events of one
  std::uint32_t flags = 0;
  std::uint32_t original_height = 0, original_width = 0, pad_top = 0, pad_left = 0;
  std::vector<PeakRow> peaks;
  shm::ColumnRow columns;  // of FileFacts::columns

  bool has_photon_energy() const {
    return photon_energy_ev > 0 && photon_energy_ev < std::numeric_limits<double>::infinity();
  }
};

// Where the bytes of an image or a segmentation mask lie in the HDF5 file, and what they add up to.
struct StoredChunk {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint32_t checksum = 0;
  bool operator==(const StoredChunk&) const = default;
};

// An event with its places; `image` and `segmentation` are absent where the file keeps none.
struct StoredEvent {
  Event event;
  std::optional<StoredChunk> image;
  std::optional<StoredChunk> segmentation = {};
};

enum class Filter : std::uint32_t { none = 0, bitshuffle_lz4 = 1 };

// The pixels of a frame that are no data: for peaks and masks, the same for all events of a file.
struct BadMask {
  std::vector<std::uint64_t> words = {};  // bits, laid out as the pool's masks; empty: all pixels are good
  std::uint64_t count = 0;                // of them
  std::string digest = {};  // of the preprocess.bad_pixels among them (config/pixel_values.hpp); "" without
  // The digest of those that the network left out; "" without, nothing where that is not known.
  std::optional<std::string> of_model = {};
  bool operator==(const BadMask&) const = default;
};

// The same for every event of a file, known when it is opened.
struct FileFacts {
  std::string instance;
  std::uint64_t instance_uuid = 0;
  std::uint64_t writer = 0;  // number of the writer in the instance
  std::string host;
  std::string run;
  shm::RunFacts run_facts;                                           // what was said of it when it began
  std::int64_t created_ns = 0;                                       // CLOCK_REALTIME
  std::uint32_t panels = 0, height = 0, width = 0;                   // of a frame
  SlabLayout slab;                                                   // without places: panels are stacked
  std::shared_ptr<const BadMask> bad = std::make_shared<BadMask>();  // never null
  Laboratory laboratory;
  PixelType pixel_type = PixelType::uint16;
  bool with_images = true;
  bool with_segmentation = false;
  Filter filter = Filter::none;
  bool with_photon_energy = false;  // all events have one, or none of them
  std::uint32_t min_num_peak = 0, max_num_peak = 0;
  std::string centroid;  // "unweighted" or "weighted"
  std::string config;    // the writer's configuration as YAML
  std::string model;     // path or builtin
  std::string model_sha256;
  std::string version;
  std::string commit;
  shm::ColumnTable columns;  // what events have beside all this

  std::uint64_t slab_height() const { return slab.places.empty() ? std::uint64_t{panels} * height : slab.height; }
  std::uint64_t slab_width() const { return slab.places.empty() ? width : slab.width; }
  std::uint64_t image_bytes() const { return slab_height() * slab_width() * size_of(pixel_type); }
  std::uint64_t mask_words() const { return std::uint64_t{panels} * height * ((std::uint64_t{width} + 63) / 64); }
  std::uint64_t segmentation_bytes() const { return slab_height() * slab_width(); }  // one for each pixel
};

}  // namespace peaknet::writer
