// EventColumns: the fields of a message, or datasets of a file, that the pool's columns are made from (feed.columns).
//
// Invariant: a column has the sender's values or is not known. A field that is not there, of another length, or with a
// number that the column's type cannot hold leaves the column of that event not known, and the reason is told; the
// event itself is taken. Only floating-point numbers are rounded, to the column's own precision; NaN is "not known" in
// a column of integers.
//
// Threads: values, any. Errors: those of `put`, which refuse no frame: columns.absent, columns.length, columns.value.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "feed/decoders/column.hpp"
#include "shm/columns.hpp"

namespace peaknet::feed {

// Where a field may be: as it is named, and in the groups that lclstreamer's examples use.
std::vector<std::string> column_places(const std::string& from);

class EventColumns {
 public:
  EventColumns() = default;  // none are wanted
  explicit EventColumns(const config::FeedColumns& wanted);

  std::size_t size() const { return fields_.size(); }
  const std::string& from(std::size_t column) const { return fields_[column].from; }

  // `dims` of the field; of `events` events in the message. Values that are neither one row for each event nor one for
  // all leave the column not known.
  void found(std::size_t column, Column values, std::span<const std::uint64_t> dims, std::uint64_t events);
  // Of one event alone.
  void found(std::size_t column, Column values);
  // The source itself says that it is not known; so there is nothing to tell.
  void unknown(std::size_t column);
  // What was read of its field: values, nothing where there is no such field among `fields`, or why it cannot be read.
  using FieldNames = std::function<std::vector<std::string>()>;
  void take(std::size_t column, Result<std::optional<Column>> values, std::span<const std::uint64_t> dims,
            std::uint64_t events, const FieldNames& fields);
  // Why the column has no values.
  void absent(std::size_t column, const std::string& why);
  // It is nowhere; these are the fields that there are, of which the nearest is named.
  void absent_among(std::size_t column, std::span<const std::string> fields);

  // What is known of event `event` into its slot. The error is the first reason why a column is not known; the others
  // are set all the same.
  Status put(std::uint64_t event, shm::ColumnWriter to) const;

 private:
  struct Field {
    std::string name;  // of the column
    std::string from;
    std::optional<Column> values = {};
    std::size_t per_event = 0;                       // values of an event; 0: these are for all events
    std::string why_not = "there is no such field";  // "": that need not be told
  };
  std::vector<Field> fields_;
};

}  // namespace peaknet::feed
