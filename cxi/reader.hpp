// CxiReader: one event after the other out of a finished CXI file, for the preview and for tests. Reads the files that
// this writer makes, and others of the same layout (3-D slab data, peaks in /entry_1/result_1). Images and masks of a
// run's master are read from its files, one open at a time: HDF5 would show a fill value where one cannot be opened.
// Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/pixel_type.hpp"
#include "base/result.hpp"
#include "cxi/event.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/slab.hpp"

namespace peaknet::writer {

struct ReadEvent {
  std::string identifier;                  // experiment_identifier; "" if the file has none
  std::vector<std::byte> pixels;           // slab, row by row; zeros in a peaks-only file
  std::vector<std::uint8_t> segmentation;  // slab, row by row; empty where the file keeps no masks
  std::vector<PeakRow> peaks;
  std::optional<double> photon_energy_ev;
  std::optional<double> encoder_value_mm;  // of the detector's stage
};

class CxiReader {
 public:
  // Errors: output.* of the disk, cxi.not-readable with what is missing or of another kind.
  static Result<CxiReader> open(const std::filesystem::path& path);

  std::size_t events() const { return events_; }
  std::uint32_t height() const { return height_; }  // of the slab
  std::uint32_t width() const { return width_; }
  // Where the panels of a frame lie in the slab, and their size; one panel where the file does not say.
  const SlabLayout& slab() const { return slab_; }
  std::uint32_t panel_height() const { return panel_height_; }
  std::uint32_t panel_width() const { return panel_width_; }
  // Slab, row by row: not 0 where a pixel is no data, in all events; empty where the file does not say.
  std::vector<std::uint8_t> no_data() const;
  const std::string& config() const { return config_; }  // of the writer that made the file, as YAML; "" if unknown
  bool has_images() const { return has_images_; }        // false: peaks only
  PixelType pixel_type() const { return pixel_type_; }

  // Errors: cxi.no-event, cxi.not-readable (also for an event of a master whose file is gone).
  Result<ReadEvent> read(std::size_t index) const;

 private:
  CxiReader(std::filesystem::path path, H5Handle file, H5Handle images)
      : path_(std::move(path)), file_(std::move(file)), images_(std::move(images)) {}
  Error not_readable(const std::string& what) const;
  std::optional<std::vector<double>> numbers(const std::string& name, std::size_t row) const;
  std::optional<std::uint32_t> fact(const char* name) const;  // an attribute of the file's own group
  void find_panels();
  void find_shown();
  // The images and masks of one event, from this file or, of a master, from the one that has them.
  Status read_stacks(std::size_t index, ReadEvent& event) const;
  static Status read_stacks(const CxiReader& from, std::size_t row, ReadEvent& event);
  bool take_facts_of(const std::filesystem::path& path);
  // Of a dataset of texts, or of the one text that it is; "" where there is none.
  std::string text(const std::string& name, std::optional<std::size_t> row) const;

  std::filesystem::path path_;
  H5Handle file_;
  H5Handle images_;
  std::vector<std::pair<std::string, std::uint64_t>> shown_;  // of a master: its files and their events, in order
  std::size_t events_ = 0;
  std::uint32_t height_ = 0;
  std::uint32_t width_ = 0;
  SlabLayout slab_;
  std::uint32_t panel_height_ = 0;
  std::uint32_t panel_width_ = 0;
  std::string config_;
  bool has_images_ = false;
  PixelType pixel_type_ = PixelType::uint16;
};

}  // namespace peaknet::writer
