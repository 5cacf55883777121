// Hdf5Rehearsal: an HDF5 file is opened and looked through in a process of its own before it is read here. The library
// crashes on some damaged files, or never ends: that costs the sandbox, and the file is refused by its name.
//
// What is asked of the library there is what a replay asks of it: where the images are, the facts beside them, where
// each chunk lies; and what the library itself unpacks or copies. Chunks that are unpacked here, by our own decoders,
// are not read. So it costs the time of opening a file once more, and nothing for a frame.
//
// Made before there are threads (Sandbox), by one that is not in HDF5: the sandbox takes the Hdf5Guard itself. One
// thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "feed/decoders/sandbox.hpp"
#include "shm/geometry.hpp"

namespace peaknet::feed {

class Hdf5Rehearsal {
 public:
  // What is done with a file in the sandbox.
  using Look = std::function<Status(const std::string& path, const shm::Geometry& frames)>;

  // A file may come from tape, and a library may have no end: a file that takes longer is looked at once more, and then
  // refused.
  static constexpr std::chrono::minutes kLongest{2};

  // As Hdf5Source::open will be asked.
  Hdf5Rehearsal(const std::string& dataset, bool skip_bad, const config::FeedColumns& columns = {},
                std::chrono::milliseconds time = kLongest);
  Hdf5Rehearsal(Look look, std::chrono::milliseconds time);

  // Errors: those of Hdf5Source::open; file.unreadable, where the sandbox crashed or had no end; hdf5.no-helper.
  Status look(const std::string& path, const shm::Geometry& frames);

 private:
  Sandbox sandbox_;
};

}  // namespace peaknet::feed
