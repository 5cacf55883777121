// HDF5 for the feed: one thread in the library at a time, and files that may lie.
//
// Everything here needs an Hdf5Guard in the calling thread for as long as handles are used or closed. HDF5 builds
// differ in whether they allow threads; ours allow one at a time always, and nothing slow (inflating, converting)
// happens inside.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "feed/sample_type.hpp"
#include "hdf5/handle.hpp"

namespace peaknet::feed {

// The right to call HDF5. Silences the library's own error printing in this thread.
class Hdf5Guard {
 public:
  Hdf5Guard();
  // Before the end of its scope, for work that does not need the library.
  void release() { lock_.unlock(); }

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

using Hdf5Handle = hdf5::Handle;

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

// The dataset at `path`, or nullopt if there is none (or it has no shape).
std::optional<Hdf5Array> open_array(hid_t file, const std::string& path, ExternalLinks links);

// The first of `paths` that is a dataset of numbers (or of texts of a fixed length, at most 64 bytes).
struct Hdf5Found {
  std::string path;
  Hdf5Array array;
};
std::optional<Hdf5Found> open_first(hid_t file, std::span<const std::string> paths, ExternalLinks links,
                                    Texts texts = Texts::refuse);

// Every dataset of numbers with two to four dimensions, the last two of them at least 16: what may be an image. At most
// `at_most`, in groups nested at most 16 deep; links are not followed out of the file.
std::vector<Hdf5Found> image_like(hid_t file, std::size_t at_most);

// Does this path name what is made of images or for them, and no image: a mask, a flat field, a map, a sum?
bool named_as_no_image(const std::string& path);

// The names in a group, in their order; at most `at_most`. Empty: no such group.
std::vector<std::string> names_in(hid_t file, const std::string& group, std::size_t at_most);

// All numbers of a small dataset as double; nullopt if it is larger than `at_most` or cannot be read.
std::optional<std::vector<double>> read_numbers(const Hdf5Array& array, std::size_t at_most);
// The same for integers that a double could not hold.
std::optional<std::vector<std::uint64_t>> read_unsigned(const Hdf5Array& array, std::size_t at_most);

// "gzip", "bitshuffle", ...; the number for a filter that has no name here.
std::string filter_name(H5Z_filter_t filter);
// The filters of a dataset in the order in which they were applied.
std::vector<H5Z_filter_t> filters_of(hid_t creation_properties);
// The parameters of the filter with this index; at most 32.
std::vector<unsigned> filter_values(hid_t creation_properties, unsigned index);

}  // namespace peaknet::feed
