#include "live/column_values.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace peaknet::live {
namespace {

using nlohmann::json;

template <class Work>
void with_single(const shm::Column& column, std::span<const std::byte> values, Work work) {
  shm::with_column_type(column.type, [&](auto value) {
    std::memcpy(&value, values.data(), sizeof value);
    work(value);
  });
}

bool is_sent(const shm::ColumnTable& columns, const shm::ColumnRow& row, std::size_t i) {
  return row.size() == columns.row_bytes() && columns.known(row, i);
}

bool meets(const std::string& a, const std::string& b) { return a.starts_with(b) || b.starts_with(a); }

}  // namespace

void add_for_crystfel(json& message, const shm::ColumnTable& columns, const shm::ColumnRow& row) {
  // Of all messages: a key must not depend on what one event knows.
  std::vector<std::string> others = {
      "image",      "peak_list", "photon_energy_eV", "encoder_mm", "frame", "event_id", "run",
      "source_run", "fiducial",  "timestamp",        "type",       "shape", "data",     "fs",
      "ss",         "intensity"};
  for (const shm::Column& column : columns.all()) others.push_back(column.name);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const shm::Column& column = columns[i];
    if (column.length != 0 || !is_sent(columns, row, i)) continue;
    const auto same =
        std::count_if(others.begin(), others.end(), [&](const auto& key) { return meets(key, column.name); });
    json& into = message[same > 1 ? "[" + column.name + "]" : column.name];  // it meets itself
    with_single(column, columns.values(row, i), [&](auto value) {
      if constexpr (std::is_floating_point_v<decltype(value)>) {
        into = static_cast<double>(value);
      } else if (std::in_range<std::int32_t>(value)) {
        into = static_cast<std::int32_t>(value);
      } else {
        into = std::to_string(value);
      }
    });
  }
}

void add_for_simplon(json& message, const shm::ColumnTable& columns, const shm::ColumnRow& row) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const shm::Column& column = columns[i];
    if (!is_sent(columns, row, i) || message.contains(column.name)) continue;
    const auto values = columns.values(row, i);
    if (column.length != 0) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
      message[column.name] = json::binary({bytes, bytes + values.size()});
    } else {
      with_single(column, values, [&](auto value) { message[column.name] = value; });
    }
  }
}

}  // namespace peaknet::live
