// HDF5 for the feed: files that several threads use, and that may lie.
//
// Everything here needs an Hdf5Guard in the calling thread for as long as handles are used or closed; nothing slow
// (inflating, converting) happens inside.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "feed/sample_type.hpp"
#include "hdf5/filters.hpp"
#include "hdf5/guard.hpp"
#include "hdf5/handle.hpp"

namespace peaknet::feed {

struct Hdf5Guard : hdf5::Guard {
  Hdf5Guard() : Guard(hdf5::Sharing::handles) {}
};

using Hdf5Handle = hdf5::Handle;
using hdf5::filter_values;
using hdf5::filters_of;

// What the library said last, innermost first; "no details" if nothing.
std::string hdf5_complaint();

// May links of this file lead into other files? A file that a person named may be a master file of many; a message from
// the network must not make us open anything.
enum class ExternalLinks : std::uint8_t { follow, refuse };

// A dataset and what is in it.
struct Hdf5Array {
  Hdf5Handle dataset;
  std::vector<std::uint64_t> dims;  // empty for a scalar
  std::optional<SampleType> type;   // nullopt: not numbers
  std::size_t text_bytes = 0;       // of each of its texts, where it has texts of a fixed length
  bool little_endian = true;
  bool half = false;  // IEEE floats of two bytes; `type` is then nullopt

  std::uint64_t elements() const;  // saturates
  std::size_t sample_bytes() const { return type ? size_of(*type) : text_bytes; }
};

// The group, dataset or type at `path`; an invalid handle: there is none, or it cannot be opened.
Hdf5Handle open_object(hid_t group, const std::string& path, ExternalLinks links);
// What is in an open dataset; nullopt: it has no shape.
std::optional<Hdf5Array> array_of(Hdf5Handle dataset);
// The dataset at `path`, or nullopt if there is none (or it has no shape).
std::optional<Hdf5Array> open_array(hid_t file, const std::string& path, ExternalLinks links);

struct Hdf5Found {
  std::string path;
  Hdf5Array array;
};

// What may be images: a dataset of two or more dimensions, the last two of them at least 16; or what may hide one,
// since it cannot be opened.
struct ImageLike {
  std::string path;
  std::optional<Hdf5Array> array;  // nullopt: it cannot be opened, or may not be

  bool readable() const { return array && (array->type || array->half); }
};

// All that is image-like in a file, each object once, however many names lead to it; at most `at_most`, in groups
// nested at most 16 deep. Where `links` says refuse, one that leads out of the file is told and not followed.
std::vector<ImageLike> image_like(hid_t file, std::size_t at_most, ExternalLinks links);

// Does this path name what is made of images or for them, and no image: a mask, a flat field, a map, an average?
bool named_as_no_image(const std::string& path);

// The names in a group, in their order; at most `at_most`. Empty: no such group.
std::vector<std::string> names_in(hid_t file, const std::string& group, std::size_t at_most, ExternalLinks links);

// All numbers of a small dataset as double; nullopt if it is larger than `at_most` or cannot be read.
std::optional<std::vector<double>> read_numbers(const Hdf5Array& array, std::size_t at_most);
// The same for integers that a double could not hold.
std::optional<std::vector<std::uint64_t>> read_unsigned(const Hdf5Array& array, std::size_t at_most);

// "gzip", "bitshuffle", ...; the number for a filter that has no name here.
std::string filter_name(H5Z_filter_t filter);

}  // namespace peaknet::feed
