#include "feed/decoders/column.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "feed/event_facts.hpp"

namespace peaknet::feed {
namespace {

template <class To, class From, class Work>
std::vector<To> each(const std::vector<std::byte>& bytes, From, Work work) {
  std::vector<To> values(bytes.size() / sizeof(From));
  for (std::size_t i = 0; i < values.size(); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    values[i] = work(value);
  }
  return values;
}

}  // namespace

std::vector<std::string> Column::texts() const {
  std::vector<std::string> all(size());
  const std::size_t step = text.wide ? 4 : 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t at = 0; at + step <= text.width; at += step) {
      const std::byte* const begin = bytes.data() + i * text.width + at;
      const bool ascii = std::all_of(begin + 1, begin + step, [](std::byte b) { return b == std::byte{0}; });
      all[i] += ascii ? static_cast<char>(*begin) : '?';
    }
  }
  return all;
}

std::vector<double> Column::numbers() const {
  if (text.width > 0) {
    std::vector<double> values;
    for (const std::string& one : texts()) {
      const char* const end = one.data() + one.find_last_not_of(std::string_view(" \0", 2)) + 1;
      double value = 0.0;
      const auto read = std::from_chars(one.data(), end, value);
      const bool good = read.ec == std::errc{} && read.ptr == end;
      values.push_back(good ? value : std::numeric_limits<double>::quiet_NaN());
    }
    return values;
  }
  return with_type(type, [&](auto number) {
    return each<double>(bytes, number, [](auto value) { return static_cast<double>(value); });
  });
}

std::vector<std::uint64_t> Column::timestamps() const {
  auto times = raw_timestamps();
  for (std::uint64_t& time : times) time = timestamp_from_packed(time);
  return times;
}

std::vector<std::uint64_t> Column::raw_timestamps() const {
  if (text.width > 0) {
    std::vector<std::uint64_t> times;
    for (const std::string& one : texts()) times.push_back(timestamp_from_text(one));
    return times;
  }
  if (type == SampleType::u64)
    return each<std::uint64_t>(bytes, std::uint64_t{}, [](std::uint64_t value) { return value; });
  if (type == SampleType::i64) {
    return each<std::uint64_t>(bytes, std::int64_t{}, [](std::int64_t value) {
      return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value));
    });
  }
  std::vector<std::uint64_t> times;
  for (const double number : numbers()) times.push_back(timestamp_from_number(number));
  return times;
}

std::vector<double> Column::energies(config::WavelengthUnit unit) const {
  std::vector<double> values = numbers();
  for (double& value : values) value = energy_from_wavelength(value, unit);
  return values;
}

std::vector<std::string> raw_places(const DecodeOptions& options) { return {options.raw, "data/" + options.raw}; }
std::vector<std::string> image_places(const DecodeOptions& options) {
  return {options.image, "data/" + options.image, "data/data", "data"};
}
std::vector<std::string> timestamp_places(const DecodeOptions& options) {
  return {options.timestamp, "data/" + options.timestamp};
}
std::vector<std::string> wavelength_places(const DecodeOptions& options) {
  return {options.wavelength, "data/" + options.wavelength, "data/wavelength", "wavelength", "SIOC:SYS0:ML00:AO192"};
}

Error bad_field(const std::string& field, const std::string& what) {
  return {"message.bad-field", "the field '" + field + "' of a message " + what,
          "the message was not used; the next one is served", "correct the sender's configuration"};
}

Status check_length(const Column& column, const std::string& field, std::uint64_t events) {
  const std::uint64_t values = column.size();
  if (values <= 1 || events == 0 || values == events || (values % events != 0 && events % values != 0)) return {};
  return bad_field(field, "has " + std::to_string(column.size()) + " values for " + std::to_string(events) + " events");
}

}  // namespace peaknet::feed
