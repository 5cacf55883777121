// NumpyType: the element type of a NumPy array, by its name, and its elements as numbers of this machine. Beside
// little-endian numbers these are big-endian ones, float16 (as float32), bool (as 0 and 1) and datetime64 (as
// sec<<32|ns).
//
// Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "feed/sample_type.hpp"

namespace peaknet::feed {

struct NumpyType {
  SampleType type = SampleType::u8;  // what it becomes
  std::size_t bytes = 1;             // of an element as it is stored
  bool big_endian = false, half = false;
  std::uint64_t ticks = 0;  // of datetime64: in a second; 0: it is none

  bool as_it_is() const { return !big_endian && !half && ticks == 0; }
};

// '<f4', '>u2', '|b1', '<f2', '<M8[ns]', ...; nullopt: texts, objects, complex numbers.
std::optional<NumpyType> numpy_type(std::string_view descr);

// The elements of `from` as numbers of `type.type`; `to` has room for as many.
void bring_home(std::span<const std::byte> from, const NumpyType& type, std::span<std::byte> to);

}  // namespace peaknet::feed
