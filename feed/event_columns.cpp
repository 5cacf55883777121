#include "feed/event_columns.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/text.hpp"
#include "feed/frame_shape.hpp"

namespace peaknet::feed {
namespace {

// False: the number is none of this type.
template <class To, class From>
bool convert(From from, To unknown, To& to) {
  if constexpr (std::is_same_v<From, To>) {
    to = from;
    return true;
  } else if constexpr (std::is_floating_point_v<From> && std::is_floating_point_v<To>) {
    to = static_cast<To>(from);
    return std::isinf(to) == std::isinf(from);
  } else if constexpr (std::is_floating_point_v<From>) {
    if (std::isnan(from)) {
      to = unknown;
      return true;
    }
    // The limits as powers of two, which are exact in every floating-point type.
    const From above = std::ldexp(From{1}, std::numeric_limits<To>::digits);
    if (!(from < above && from >= (std::is_signed_v<To> ? -above : From{0}))) return false;
    to = static_cast<To>(from);
    return static_cast<From>(to) == from;
  } else if constexpr (std::is_floating_point_v<To>) {
    to = static_cast<To>(from);
    const To above = std::ldexp(To{1}, std::numeric_limits<From>::digits);
    return to < above && static_cast<From>(to) == from;
  } else {
    to = static_cast<To>(from);
    return std::in_range<To>(from);
  }
}

// Numbers of a message in the type of a column. False: one of them is none of that type.
bool convert_all(SampleType type, std::span<const std::byte> from, const shm::Column& column, std::span<std::byte> to) {
  return with_type(type, [&](auto number) {
    return shm::with_column_type(column.type, [&](auto zero) {
      decltype(zero) unknown{};
      std::memcpy(&unknown, column.unknown.data(), sizeof unknown);
      for (std::size_t i = 0; i < column.values(); ++i) {
        auto value = number;
        auto converted = zero;
        std::memcpy(&value, from.data() + i * sizeof value, sizeof value);
        if (!convert(value, unknown, converted)) return false;
        std::memcpy(to.data() + i * sizeof converted, &converted, sizeof converted);
      }
      return true;
    });
  });
}

Error not_known(const char* id, const std::string& name, const std::string& from, const std::string& why) {
  return {id, "the column '" + name + "' is not known: '" + from + "' " + why,
          "the events are taken, without this column", "correct feed.columns, or the sender's configuration"};
}

}  // namespace

std::vector<std::string> column_places(const std::string& from) { return {from, "data/" + from}; }

EventColumns::EventColumns(const config::FeedColumns& wanted) {
  for (std::size_t i = 0; i < wanted.table.size(); ++i)
    fields_.push_back({.name = wanted.table[i].name, .from = wanted.from[i]});
}

void EventColumns::found(std::size_t column, Column values, std::span<const std::uint64_t> dims, std::uint64_t events) {
  if (values.text.width > 0) return absent(column, "holds texts");
  const bool rows = !dims.empty() && dims.front() == events && events > 0;
  const std::size_t per_event = rows ? values.size() / events : 0;
  // One event's values for all: a scalar, or an array of which the table says whether it can be one.
  const bool one_for_all = dims.size() <= 1;
  if (!rows && !one_for_all)
    return absent(column, "has the shape " + shape_text(dims) + " for " + std::to_string(events) + " events");
  fields_[column].values = std::move(values);
  fields_[column].per_event = per_event;
}

void EventColumns::found(std::size_t column, Column values) {
  fields_[column].values = std::move(values);
  fields_[column].per_event = 0;
}

void EventColumns::take(std::size_t column, Result<std::optional<Column>> values, std::span<const std::uint64_t> dims,
                        std::uint64_t events, const FieldNames& fields) {
  if (!values) {
    absent(column, "cannot be read: " + values.error().what);
  } else if (*values) {
    found(column, std::move(**values), dims, events);
  } else {
    absent_among(column, fields());
  }
}

void EventColumns::unknown(std::size_t column) { absent(column, ""); }

void EventColumns::absent(std::size_t column, const std::string& why) {
  fields_[column].values.reset();
  fields_[column].why_not = why;
}

void EventColumns::absent_among(std::size_t column, std::span<const std::string> fields) {
  const std::string near = nearest(from(column), fields);
  absent(column, "is no field of the message" + (near.empty() ? "" : " (did you mean '" + near + "'?)"));
}

Status EventColumns::put(std::uint64_t event, shm::ColumnWriter to) const {
  Status first;
  const auto tell = [&](Error error) {
    if (first) first = std::move(error);
  };
  std::vector<std::byte> converted;
  for (const Field& field : fields_) {
    const auto index = to.any() ? to.table().find(field.name) : std::nullopt;
    if (!index) {
      tell(not_known("columns.absent", field.name, field.from, "has no place: the pool was made without this column"));
      continue;
    }
    if (!field.values) {
      if (!field.why_not.empty()) tell(not_known("columns.absent", field.name, field.from, field.why_not));
      continue;
    }
    const shm::Column& column = to.table()[*index];
    const std::size_t count = field.per_event > 0 ? field.per_event : field.values->size();
    if (count != column.values()) {
      tell(not_known(
          "columns.length", field.name, field.from,
          "has " + std::to_string(count) + " values for an event, the column has " + std::to_string(column.values())));
      continue;
    }
    const std::size_t bytes = count * size_of(field.values->type);
    const auto values = std::span(field.values->bytes).subspan(field.per_event > 0 ? event * bytes : 0, bytes);
    converted.resize(column.bytes());
    if (!convert_all(field.values->type, values, column, converted)) {
      tell(not_known("columns.value", field.name, field.from,
                     "has a number of " + std::string(feed::name(field.values->type)) + " that is none of " +
                         std::string(shm::name(column.type))));
      continue;
    }
    if (auto done = to.put(*index, column.type, converted); !done) tell(done.error());
  }
  return first;
}

}  // namespace peaknet::feed
