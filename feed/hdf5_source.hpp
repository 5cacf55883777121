// Hdf5Source: the frames of one HDF5 or CXI file, read straight into the slot where the file's number type is the
// pool's.
//
// Where no dataset is named, the well-known places of images are looked at in order (kImagePlaces), then the file's
// only image-like dataset is taken, or the only one whose frames fit the pool. Photon energy, time, fiducial and
// encoder value are taken from their places beside it (kEnergyPlaces, and those of the LCLS group), energy and encoder
// value also as one for all frames. event_id is the index of the frame in the file. The file stays open as long as the
// source lives.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "feed/frame_source.hpp"
#include "feed/hdf5_file.hpp"
#include "feed/pixel_convert.hpp"

namespace peaknet::feed {

extern const std::vector<std::string> kImagePlaces;

class Hdf5Source : public FrameSource {
 public:
  // `dataset`: "" to find it. Errors: file.unreadable, file.no-images (what there is), file.filter, frame.shape,
  // frame.type.
  static Result<std::unique_ptr<Hdf5Source>> open(const std::string& path, const std::string& dataset,
                                                  const shm::Geometry& geometry, Narrowing narrowing);
  ~Hdf5Source() override;

  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return frames_; }
  // Errors: frame.value, file.unreadable.
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

  const std::string& dataset() const { return dataset_; }

 private:
  Hdf5Source(std::string path, std::string dataset, const shm::Geometry& geometry, Narrowing narrowing)
      : path_(std::move(path)), dataset_(std::move(dataset)), geometry_(geometry), narrowing_(narrowing) {}
  void read_facts();
  Status read_frame(std::uint64_t index, std::byte* to);

  std::string path_, dataset_;
  shm::Geometry geometry_;
  Narrowing narrowing_;
  Hdf5Handle file_;
  Hdf5Array array_;
  std::uint64_t frames_ = 0;
  std::vector<double> energies_;           // eV; empty, one, or one per frame
  std::vector<double> encoder_values_;     // empty, one, or one per frame
  std::vector<std::uint64_t> timestamps_;  // empty or one per frame
  std::vector<std::uint32_t> fiducials_;   // empty or one per frame
  std::vector<std::byte> scratch_;         // a frame in the file's type, where that is not the pool's
};

}  // namespace peaknet::feed
