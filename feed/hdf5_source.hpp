// Hdf5Source: the frames of one HDF5 or CXI file, read straight into the slot where the file's number type is the
// pool's.
//
// Where no dataset is named, the well-known places of images are looked at in order (kImagePlaces), then DECTRIS' data
// files in the order of their numbers, then the file's only image-like dataset is taken, or the only one whose frames
// fit the pool; never one that is named as a mask, a flat field or a map. What is there and cannot be opened ends the
// search: it is not as if it were not there. Facts beside the pixels: hdf5_facts.hpp. event_id is the index of the
// frame in the file.
//
// Pixels that are not there are an error (frame.absent), never zeros; see hdf5_array.hpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "feed/frame_source.hpp"
#include "feed/hdf5_array.hpp"
#include "feed/hdf5_columns.hpp"
#include "feed/hdf5_facts.hpp"
#include "feed/pixel_convert.hpp"

namespace peaknet::feed {

extern const std::vector<std::string> kImagePlaces;

struct Hdf5Reading {
  std::shared_ptr<ArrayFiles> files = std::make_shared<ArrayFiles>();  // those of several sources are open in turns
  // Play what is there of a file that is not complete; each frame that is not there is refused on its own.
  bool skip_bad = false;
  config::FeedColumns columns = {};  // what is kept of a frame beside its facts
};

class Hdf5Source : public FrameSource {
 public:
  // `dataset`: "" to find it. Errors: file.unreadable, file.no-images (what there is), file.incomplete (what is
  // missing), file.filter, file.virtual, frame.shape, frame.type.
  static Result<std::unique_ptr<Hdf5Source>> open(const std::string& path, const std::string& dataset,
                                                  const shm::Geometry& geometry, Narrowing narrowing,
                                                  const Hdf5Reading& reading = {});

  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return frames_; }
  // Errors: frame.value, frame.absent, file.unreadable.
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

  // Asks the library for all that `fill` will ask it for, and reads no chunk that is unpacked without it: what may
  // crash in it does so here (Hdf5Rehearsal).
  void look_through();

  // The first, where there are several.
  const std::string& dataset() const { return parts_.front().dataset; }

 private:
  struct Part {
    std::string dataset;
    std::uint64_t frames = 0;
  };
  Hdf5Source(std::string path, const shm::Geometry& geometry, Narrowing narrowing, std::shared_ptr<ArrayFiles> files)
      : path_(std::move(path)), geometry_(geometry), narrowing_(narrowing), files_(std::move(files)) {}
  Status add_part(const std::string& dataset, bool thresholds, bool skip_bad);
  Status read_frame(DiskArray& array, std::uint64_t index, std::byte* to);
  Result<Filled> fill_pixels(std::uint64_t index, const SlotView& slot);

  std::string path_;
  shm::Geometry geometry_;
  Narrowing narrowing_;
  std::shared_ptr<ArrayFiles> files_;
  std::vector<Part> parts_;
  std::uint64_t frames_ = 0;
  Hdf5Facts facts_;
  Hdf5Columns columns_;
  std::vector<std::byte> scratch_;  // a frame in the file's type, where that is not the pool's
};

}  // namespace peaknet::feed
