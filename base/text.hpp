// Small helpers for texts that people read or write: numbers, the nearest known name to a misspelt one, byte sizes.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace peaknet {

// A text that is a number as a whole, in the C locale; nothing for any other, and for one that Number cannot hold.
template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The entry of `known` nearest to `name` by edit distance (Damerau, adjacent swap counts one), or "" where none is near
// enough to be a slip of the fingers (more than a third of the letters differ).
std::string nearest(std::string_view name, std::span<const std::string> known);

// "1.50 GiB"; exact below 1 KiB.
std::string human_bytes(std::uint64_t bytes);

// True for 1..max characters of [A-Za-z0-9._-], not starting with '.' or '-': safe in a file name and in a shm name.
bool is_plain_name(std::string_view name, std::size_t max);

// "2026-03-01T14:02:11.250000+00:00" for a time of CLOCK_REALTIME, in UTC.
std::string iso_time(std::int64_t realtime_ns);

}  // namespace peaknet
