// FrameStack: a dataset of an HDF5 file, ours or anybody's, as frames that are read one at a time: class maps or
// images. Used by one thread at a time.
//
// (events, panels, y, x) is taken as it is; (events, y, x) has `panels` panels stacked in y; (y, x) is one such event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/pixel_type.hpp"
#include "base/result.hpp"
#include "cxi/hdf5.hpp"

namespace peaknet::writer {

class FrameStack {
 public:
  enum class Kind { class_map, image };

  // Opens `dataset` of the file. A class map must be of integers (or booleans), an image of uint8, uint16, int16 or
  // float32. Errors: those of the disk; frames.no-dataset, frames.other-type, frames.other-shape.
  static Result<FrameStack> open(const std::filesystem::path& file, const std::string& dataset, Kind kind,
                                 std::uint32_t panels);

  std::uint64_t events() const { return events_; }
  std::uint32_t panels() const { return panels_; }
  std::uint32_t height() const { return height_; }  // of a panel
  std::uint32_t width() const { return width_; }
  bool same_frames_as(const FrameStack& other) const {
    return events_ == other.events_ && panels_ == other.panels_ && height_ == other.height_ && width_ == other.width_;
  }
  std::string shape() const;  // "4 events of 32 x 185 x 388"

  // Of an image; uint8 is given as uint16.
  PixelType pixel_type() const { return pixel_type_; }

  // The frame's bytes: a class for each pixel (values that are no uint8 become 0 or 255), or the pixels.
  // `event` < events(). Errors: those of the disk, and a filter that is not there.
  Status read(std::uint64_t event, std::vector<std::byte>& bytes) const;

 private:
  FrameStack(std::filesystem::path path, std::string name, H5Handle file, H5Handle set)
      : path_(std::move(path)), name_(std::move(name)), file_(std::move(file)), set_(std::move(set)) {}
  std::filesystem::path path_;
  std::string name_;
  H5Handle file_;
  H5Handle set_;
  Kind kind_ = Kind::class_map;
  PixelType pixel_type_ = PixelType::uint16;
  std::size_t rank_ = 0;
  std::uint64_t events_ = 0;
  std::uint32_t panels_ = 0;
  std::uint32_t height_ = 0;
  std::uint32_t width_ = 0;
};

}  // namespace peaknet::writer
