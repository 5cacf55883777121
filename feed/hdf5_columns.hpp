// Hdf5Columns: the datasets of a file that the pool's columns are made from. Each is read row by row as its frame is
// played: a spectrum for each of a million frames needs no memory here.
//
// A column is looked for where feed.columns says (`from`, as in messages), then at its own dataset: so files of
// peaknet-writer are replayed with what they kept. A value that the file itself names as missing (the attribute
// `missing_value` of our files) is not known.
//
// Threads: as DiskArray. Errors: none; what cannot be read is not known, and EventColumns::put says why.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "feed/event_columns.hpp"
#include "feed/hdf5_array.hpp"

namespace peaknet::feed {

class Hdf5Columns {
 public:
  Hdf5Columns() = default;  // none are wanted
  // The caller holds the Hdf5Guard. `path`: of the file, which has so many frames.
  Hdf5Columns(const config::FeedColumns& wanted, hid_t file, std::string path, std::uint64_t frames, ArrayFiles& files);

  // Of that frame.
  const EventColumns& read(std::uint64_t frame, ArrayFiles& files);
  void look_through(ArrayFiles& files, DiskArray::Seen& seen);

 private:
  struct Place {
    std::string dataset;  // "": there is none
    bool rows = false;    // one for each frame; else the same for all
    std::vector<std::byte> missing = {};
  };
  Place find(hid_t file, std::size_t column, const config::FeedColumns& wanted, std::uint64_t frames,
             ArrayFiles& files);
  std::string path_;
  std::vector<Place> places_;
  EventColumns columns_;
};

}  // namespace peaknet::feed
