#include "config/column_list.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/text.hpp"

namespace peaknet::config {
namespace {

const std::vector<std::string> kParts = {"name", "from", "dataset", "dtype", "length", "unit", "unknown"};

// Where the writer has datasets of its own.
constexpr std::array<std::string_view, 9> kTaken = {
    "/LCLS/photon_energy_eV",        "/LCLS/timestamp", "/LCLS/machineTime",
    "/LCLS/machineTimeNanoSeconds",  "/LCLS/fiducial",  "/LCLS/detector_1/timestamp",
    "/LCLS/detector_1/EncoderValue", "/cxi_version",    "/number_of_entries"};

bool is_taken(const std::string& dataset) {
  if (dataset == "/entry" || dataset.starts_with("/entry/") || dataset.starts_with("/entry_")) return true;
  return std::any_of(kTaken.begin(), kTaken.end(), [&](std::string_view taken) {
    return dataset == taken || taken.starts_with(dataset + "/") || dataset.starts_with(std::string(taken) + "/");
  });
}

// Never 0: that is a value.
Refusal read_unknown(const YAML::Node& node, shm::Column& column) {
  std::string text;
  if (read_text(node, text)) text.clear();
  const bool good = shm::with_column_type(column.type, [&](auto zero) {
    using Value = decltype(zero);
    std::optional<Value> value = number_in<Value>(text);
    if constexpr (std::is_floating_point_v<Value>) {
      if (text == ".nan" || text == ".NaN") value = std::numeric_limits<Value>::quiet_NaN();
    }
    if (!value || *value == Value{0}) return false;
    std::memcpy(column.unknown.data(), &*value, sizeof *value);
    return true;
  });
  if (good) return std::nullopt;
  return "for the `unknown` of the column '" + column.name + "' a number of type " +
         std::string(shm::name(column.type)) + " other than 0, which is a value";
}

std::string write_unknown(const shm::Column& column) {
  return shm::with_column_type(column.type, [&](auto zero) -> std::string {
    using Value = decltype(zero);
    Value value{};
    std::memcpy(&value, column.unknown.data(), sizeof value);
    if constexpr (std::is_floating_point_v<Value>) {
      if (std::isnan(value)) return ".nan";
      std::array<char, 32> digits{};
      return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
    } else {
      return std::to_string(value);
    }
  });
}

// Are all its keys known, and none there twice?
Refusal check_parts(const YAML::Node& node) {
  std::vector<std::string> seen;
  for (const auto& entry : node) {
    const std::string part = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (std::find(seen.begin(), seen.end(), part) != seen.end())
      return "each key of a column once, not '" + part + "' twice";
    seen.push_back(part);
    if (std::find(kParts.begin(), kParts.end(), part) != kParts.end()) continue;
    const std::string near = nearest(part, kParts);
    return "name, from, dataset, dtype, length, unit and unknown of a column, not '" + part + "'" +
           (near.empty() ? "" : " (did you mean '" + near + "'?)");
  }
  return std::nullopt;
}

Refusal read_column(const YAML::Node& node, shm::Column& column, std::string& from) {
  if (!node.IsMap()) return "a list of columns, as [{name: laser_on, from: evr.laser, dtype: uint8}]";
  if (auto refused = check_parts(node)) return refused;
  if (!node["name"] || read_text(node["name"], column.name) || column.name.empty()) return "a `name` for each column";
  const std::string of_it = " of the column '" + column.name + "'";
  from = column.name;
  column.dataset = "/LCLS/" + column.name;
  if (node["from"] && (read_text(node["from"], from) || from.empty() || from.size() > 256))
    return "for `from`" + of_it + " the name of a field, or a path";
  if (node["dataset"] && read_text(node["dataset"], column.dataset)) return "for `dataset`" + of_it + " a path";
  if (is_taken(column.dataset))
    return "for `dataset`" + of_it + " another place than " + column.dataset +
           ", where the writer has things of its own";
  std::string type = "float64";
  if (node["dtype"] && read_text(node["dtype"], type)) type.clear();
  const auto known = shm::parse_column_type(type);
  if (!known)
    return "for `dtype`" + of_it + " int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32 or float64";
  column.type = *known;
  if (node["length"] && read_integer(node["length"], 0, shm::kMostColumnValues, column.length))
    return "for `length`" + of_it + " 0 for a single value, or up to " + std::to_string(shm::kMostColumnValues);
  if (node["unit"] && read_text(node["unit"], column.unit)) return "for `unit`" + of_it + " a text";
  column.unknown = shm::usual_unknown(column.type);
  return node["unknown"] ? read_unknown(node["unknown"], column) : std::nullopt;
}

std::string write_column(const shm::Column& column, const std::string& from) {
  return "{name: " + quote(column.name) + ", from: " + quote(from) + ", dataset: " + quote(column.dataset) +
         ", dtype: " + std::string(shm::name(column.type)) + ", length: " + std::to_string(column.length) +
         ", unit: " + quote(column.unit) + ", unknown: " + write_unknown(column) + "}";
}

}  // namespace

Access feed_columns() {
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            std::vector<shm::Column> columns;
            FeedColumns found;
            if (!node.IsNull() && !node.IsSequence())
              return "a list of columns, as [{name: laser_on, from: evr.laser, dtype: uint8}]";
            for (const auto& entry : node) {
              if (auto refused = read_column(entry, columns.emplace_back(), found.from.emplace_back())) return refused;
            }
            auto table = shm::ColumnTable::make(std::move(columns));
            if (!table) return "columns that can be together; " + table.error().what;
            found.table = std::move(*table);
            c.feed.columns = std::move(found);
            return std::nullopt;
          },
          [](const Config& c) {
            std::string text = "[";
            const FeedColumns& columns = c.feed.columns;
            for (std::size_t i = 0; i < columns.table.size(); ++i)
              text += (i > 0 ? ", " : "") + write_column(columns.table[i], columns.from[i]);
            return text + "]";
          }};
}

}  // namespace peaknet::config
