// Everything of a CXI file but its images: identifiers, peak columns, the LCLS group, and where the file comes from.
#pragma once

#include <hdf5.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "cxi/event.hpp"
#include "cxi/file.hpp"

namespace peaknet::writer {

inline constexpr const char* kImageDataset = "/entry_1/data_1/data";
inline constexpr const char* kMaskDataset = "/entry_1/data_1/mask";
inline constexpr const char* kSegmentationDataset = "/entry_1/result_1/segmentation_map";

// The columns of a file's peaks, in kPeakGroup, one row of floats an event.
struct PeakColumn {
  const char* name;
  float PeakRow::*value;
  bool everywhere;  // also in the files of other programs; the rest is ours
};
inline constexpr const char* kPeakGroup = "/entry_1/result_1/";
inline constexpr std::array<PeakColumn, 7> kPeakColumns = {{{"peakXPosRaw", &PeakRow::x, true},
                                                            {"peakYPosRaw", &PeakRow::y, true},
                                                            {"peakTotalIntensity", &PeakRow::total, true},
                                                            {"peakMaximumValue", &PeakRow::maximum, false},
                                                            {"peakNPixels", &PeakRow::n_pixels, false},
                                                            {"peakSNR", &PeakRow::snr, false},
                                                            {"peakSegPosRaw", &PeakRow::panel, false}}};

// Into a file that has its datasets of images and masks already. `events` is not empty.
Status write_tables(hid_t file, const std::filesystem::path& path, const FileFacts& facts,
                    const std::vector<StoredEvent>& events, const Closing& closing);

// Which pixels of the slab are no data: 1 where no panel lies, in the padding that the producer put around every event,
// and where FileFacts::bad says so; 0 elsewhere. As Cheetah and LUTE have it (mask_good = 0x0000, mask_bad = 0xffff).
std::vector<std::uint16_t> slab_mask(const FileFacts& facts, std::span<const StoredEvent> events);

// More bytes than write_tables() needs for that many events with at most that many peaks each.
std::uint64_t table_bytes(const FileFacts& facts, std::size_t events, std::size_t most_peaks);

}  // namespace peaknet::writer
