// Hdf5Virtual: what a virtual dataset is made of. HDF5 reads what it cannot find of it as fill values, without a word:
// a file that was moved, a module that is missing, one descriptor too few. So its parts are read here one by one.
//
// Read are mappings of boxes and of regular strides: all that h5py's VirtualLayout, EXtra-data and our own masters
// make. Names with a pattern (%b) and selections of single points are refused.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {

// A part of an array: `count` elements from `start` on in each dimension.
struct Box {
  std::vector<std::uint64_t> start, count;
  std::uint64_t elements() const;
};

// A regular selection in one dimension.
struct Stride {
  std::uint64_t start = 0, stride = 1, count = 1, block = 1;
  std::uint64_t points() const { return count * block; }
  std::uint64_t end() const { return start + (count - 1) * stride + block; }
  bool dense() const { return count == 1 || stride == block; }
  std::uint64_t at(std::uint64_t point) const { return start + point / block * stride + point % block; }
};

// A box of the virtual dataset, and the box of the source that is shown there: the same elements in the same order.
struct Shown {
  Box here, there;
};

struct Mapping {
  std::string file, dataset;  // as they are named; "." is the virtual dataset's own file
  std::vector<Stride> here, there;
  bool whole_source = false;  // the file does not say how large that is: `there` is what `here` makes of it

  // Is all of a source of this shape what is shown? Only where whole_source; sets `there`.
  bool take_source(std::span<const std::uint64_t> dims);
  bool dense() const { return here.front().dense() && there.front().dense(); }
  // What it shows within `box`, which has one row unless the mapping is dense; nullopt: nothing.
  std::optional<Shown> within(const Box& box) const;
};

// All mappings of a virtual dataset of this shape. Errors: file.virtual.
Result<std::vector<Mapping>> mappings_of(hid_t dataset, std::span<const std::uint64_t> dims, const std::string& what);

// Where HDF5 looks for a file that `owner` names, in its order.
std::vector<std::string> places_of(const std::string& name, const std::string& owner, const char* prefix_variable);

}  // namespace peaknet::feed
