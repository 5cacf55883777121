// NPY: the header of one NumPy array: number type, order and shape. Versions 1 to 3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/column.hpp"
#include "feed/decoders/numpy_type.hpp"
#include "feed/decoders/zip.hpp"
#include "feed/sample_type.hpp"

namespace peaknet::feed {

// 'S20', '|S20', '<U20': at most 64 characters; width 0 for everything else.
TextType numpy_text(std::string_view descr);

struct NpyHeader {
  SampleType type = SampleType::u8;  // of the numbers, once they are brought home
  NumpyType element;                 // as they are stored
  bool fortran = false;              // the first index runs fastest
  std::vector<std::uint64_t> dims;   // at most 8; empty for a scalar
  std::uint64_t bytes = 0;           // of all elements; less than 2^63
  TextType text = {};                // texts instead of numbers, if this has a width

  // As C has its numbers here.
  bool plain() const { return !fortran && element.as_it_is(); }
  std::uint64_t elements() const { return bytes / (text.width > 0 ? text.width : element.bytes); }
};

// Read the header at the reader's position, and leave the reader at the first element. The rest of the member must be
// exactly the array. Errors: npz.damaged, npz.truncated, npz.unsupported (types that are no numbers).
Result<NpyHeader> read_npy_header(ZipReader& reader, const std::string& member, Texts texts = Texts::refuse);

// The text inside a header: {'descr': '<f4', 'fortran_order': False, 'shape': (6, 1, 192, 416), }
Result<NpyHeader> parse_npy_header(std::string_view text, const std::string& member, Texts texts = Texts::refuse);

}  // namespace peaknet::feed
