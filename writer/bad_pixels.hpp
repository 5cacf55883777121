// BadPixels: the pixels of a frame that are no data to the writer: those of preprocess.bad_pixels, and those that
// output.geometry leaves out (cxi/placement.hpp). Peaks, their rings and the mask in a file go by them.
//
// Invariant I9: the writer takes no other preprocess.bad_pixels than the network had without saying so. It reads the
// file of the same key by the same code as peaknetd, and compares its digest with the one that peaknetd entered beside
// the model (shm/models.hpp). Where they differ the file is read once more: peaknetd may have been restarted on another
// one. Where they still differ the writer goes on with what it has, says so (preprocess.other-mask), and each file has
// both digests: an old result must not hold up a beamline.
//
// Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "cxi/event.hpp"
#include "shm/geometry.hpp"

namespace peaknet::writer {

class BadPixels {
 public:
  explicit BadPixels(const config::Config& config) : where_(config.preprocess.bad_pixels) {}

  // What preprocess.bad_pixels says of such frames, with a line for the log. Errors: those of config/pixel_values.hpp.
  Status check(const shm::Geometry& frames) const;

  struct Found {
    std::shared_ptr<const BadMask> mask;
    std::optional<Error> differs;  // said once for each digest
  };
  // For results of a network that had the bad pixels of digest `of_model` ("": none; nothing: not known).
  // `left_out`: bits of the pixels that the geometry leaves out; the same for the same frames. Errors: those of
  // check().
  Result<Found> of(const shm::Geometry& frames, const std::vector<std::uint64_t>& left_out,
                   const std::optional<std::string>& of_model);

 private:
  Result<BadMask> read(const shm::Geometry& frames, bool log) const;

  std::string where_;
  shm::Geometry frames_;                                                        // that the rest is for
  std::optional<BadMask> read_;                                                 // the last time
  std::map<std::optional<std::string>, std::shared_ptr<const BadMask>> masks_;  // by what the network had
};

}  // namespace peaknet::writer
