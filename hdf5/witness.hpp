// Witness: a chunk through HDF5's own filters, with proof of its size.
//
// The library takes what a filter plugin returns for a chunk, however short it is: what is missing is then memory of
// somebody else. So the packed chunk is put into a file in memory whose dataset has the same filters and, before them,
// one of ours: that sees how many bytes came out, and refuses another number than a chunk has. What goes into HDF5's
// scale-offset is counted too, as that reads behind its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "hdf5/handle.hpp"

namespace peaknet::hdf5 {

// The caller holds a Guard.
class Witness {
 public:
  // nullptr: HDF5 has not all of the filters here, or cannot use them. `type`: of the dataset in its file.
  static std::unique_ptr<Witness> of(hid_t creation_properties, hid_t type, std::span<const hsize_t> chunk);
  // `out`: a whole chunk, in the file's type. False: damaged, or not of this size.
  bool unpack(std::span<const std::byte> stored, std::uint32_t skipped, std::span<std::byte> out);

 private:
  Witness() = default;
  Handle file_, type_, dataset_;
  std::vector<hsize_t> corner_;
  // Where the file's filters are among those of the dataset in memory, and which of them have a count before them.
  std::vector<unsigned> places_;
  std::vector<std::pair<std::size_t, unsigned>> counted_;
};

}  // namespace peaknet::hdf5
