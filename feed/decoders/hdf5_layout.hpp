// Hdf5Layout: all that the HDF5 library is asked about a message: where its images, times and wavelengths lie. Made in
// a Sandbox, taken over here, where the rows are then read without the library.
//
// What comes from the sandbox is checked like a message: after `load` no row can be read from outside of the message,
// and none unpacks to more than the limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/column.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/decoders/hdf5_rows.hpp"
#include "feed/decoders/sandbox.hpp"

namespace peaknet::feed {

struct Hdf5Table {
  std::string path;
  std::vector<std::uint64_t> dims;
  SampleType type = SampleType::u8;
  TextType text = {};  // texts instead of numbers, if this has a width
  Hdf5Rows rows;
  bool big_endian = false;
};

struct Hdf5Layout {
  Hdf5Table images;
  std::optional<Hdf5Table> times, wavelengths;  // one number an event
  struct Field {
    std::optional<Hdf5Table> table;
    std::string why_not = {};  // it is not there
  };
  std::vector<Field> columns = {};  // one for each of DecodeOptions::columns
};

// With the library: the caller holds the Hdf5Guard. Errors: hdf5.damaged, hdf5.filter, hdf5.layout,
// message.missing-field, message.bad-field, message.too-large, message.too-many-events, frame.shape.
Result<Hdf5Layout> survey_hdf5(const Sandbox::ReadAt& message, std::uint64_t message_bytes,
                               const shm::Geometry& geometry, const DecodeOptions& options);

// To take it to another process. What is loaded reads its rows from `message`. Errors: the survey's own; hdf5.damaged.
std::vector<std::byte> save(const Result<Hdf5Layout>& survey);
Result<Hdf5Layout> load_survey(std::span<const std::byte> saved, std::span<const std::byte> message,
                               const DecodeOptions& options);

}  // namespace peaknet::feed
