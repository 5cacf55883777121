#include "cxi/column_tables.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kNames = "/entry_1/peaknet/columns/name";
constexpr const char* kDatasets = "/entry_1/peaknet/columns/dataset";
constexpr const char* kMissingValue = "missing_value";
constexpr const char* kUnits = "units";

template <class T>
T value_at(std::span<const std::byte> bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

hid_t memory_type_of(shm::ColumnType type) {
  return shm::with_column_type(type, [](auto zero) { return memory_type<decltype(zero)>(); });
}

std::optional<shm::ColumnType> column_type_of(hid_t type) {
  const H5Handle native(H5Tget_native_type(type, H5T_DIR_ASCEND), H5Tclose);
  for (std::uint32_t known = 1; native.ok() && known <= shm::kColumnTypes; ++known) {
    if (H5Tequal(native.get(), memory_type_of(static_cast<shm::ColumnType>(known))) > 0)
      return static_cast<shm::ColumnType>(known);
  }
  return std::nullopt;
}

// The column with all of its values, one event after the other.
struct Read {
  shm::Column column;
  std::vector<std::byte> values;
};

std::optional<Read> read_column(hid_t file, std::string name, std::string dataset, std::size_t rows) {
  const H5Handle set(H5Dopen2(file, dataset.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return std::nullopt;
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  std::array<hsize_t, 2> dims{};
  const int rank = H5Sget_simple_extent_ndims(space.get());
  const auto known = column_type_of(type.get());
  if (rank < 1 || rank > 2 || !known || H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr) < 0 ||
      dims[0] != rows || (rank == 2 && (dims[1] < 1 || dims[1] > shm::kMostColumnValues)))
    return std::nullopt;
  Read read;
  read.column = {.name = std::move(name),
                 .dataset = std::move(dataset),
                 .unit = {},
                 .type = *known,
                 .length = rank == 2 ? static_cast<std::uint32_t>(dims[1]) : 0,
                 .unknown = shm::usual_unknown(*known)};
  const hid_t memory = memory_type_of(*known);
  read.column.unit = text_attribute(file, read.column.dataset, kUnits).value_or("");
  if (const H5Handle missing(
          H5Aopen_by_name(file, read.column.dataset.c_str(), kMissingValue, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
      missing.ok() && H5Aread(missing.get(), memory, read.column.unknown.data()) < 0)
    return std::nullopt;
  read.values.resize(rows * read.column.bytes());
  if (H5Dread(set.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.values.data()) < 0) return std::nullopt;
  return read;
}

}  // namespace

void write_columns(H5Writer& out, const shm::ColumnTable& columns, const std::vector<StoredEvent>& events) {
  if (columns.empty()) return;
  const shm::ColumnRow unknown = columns.unknown_row();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const shm::Column& column = columns[i];
    shm::with_column_type(column.type, [&](auto zero) {
      using Value = decltype(zero);
      std::vector<Value> values(events.size() * column.values());
      for (std::size_t row = 0; row < events.size(); ++row) {
        const auto& given = events[row].event.columns;
        const auto from = columns.values(given.size() == columns.row_bytes() ? given : unknown, i);
        std::memcpy(values.data() + row * column.values(), from.data(), from.size());
      }
      out.dataset(column.dataset, values, column.length);
      out.attribute(column.dataset, kMissingValue, value_at<Value>(column.unknown));
    });
    if (!column.unit.empty()) out.attribute(column.dataset, kUnits, column.unit);
  }
  std::vector<std::string> names, datasets;
  for (const shm::Column& column : columns.all()) {
    names.push_back(column.name);
    datasets.push_back(column.dataset);
  }
  write_column_names(out, names, datasets);
}

void write_column_names(H5Writer& out, const std::vector<std::string>& names,
                        const std::vector<std::string>& datasets) {
  out.texts(kNames, names);
  out.texts(kDatasets, datasets);
}

std::vector<std::string> column_names(hid_t file) {
  return read_texts(file, kNames).value_or(std::vector<std::string>{});
}
std::vector<std::string> column_datasets(hid_t file) {
  return read_texts(file, kDatasets).value_or(std::vector<std::string>{});
}

shm::ColumnTable read_columns(hid_t file, std::vector<StoredEvent>& events) {
  const auto names = column_names(file), datasets = column_datasets(file);
  std::vector<shm::Column> columns;
  std::vector<std::vector<std::byte>> values;
  for (std::size_t i = 0; i < std::min(names.size(), datasets.size()); ++i) {
    auto read = read_column(file, names[i], datasets[i], events.size());
    if (!read) continue;
    columns.push_back(std::move(read->column));
    values.push_back(std::move(read->values));
  }
  auto table = shm::ColumnTable::make(std::move(columns));
  if (!table) return {};
  for (std::size_t row = 0; row < events.size(); ++row) {
    shm::ColumnRow& into = events[row].event.columns;
    into.resize(table->row_bytes());
    for (std::size_t i = 0; i < table->size(); ++i) {
      const std::size_t bytes = (*table)[i].bytes();
      std::memcpy(into.data() + table->offset(i), values[i].data() + row * bytes, bytes);
    }
  }
  return std::move(*table);
}

Status copy_column_attributes(hid_t from, hid_t to, const std::string& dataset, const std::filesystem::path& path) {
  H5Writer out(to, path);
  if (const auto units = text_attribute(from, dataset, kUnits)) out.attribute(dataset, kUnits, *units);
  const H5Handle missing(H5Aopen_by_name(from, dataset.c_str(), kMissingValue, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const H5Handle stored(missing.ok() ? H5Aget_type(missing.get()) : H5I_INVALID_HID, H5Tclose);
  const auto type = stored.ok() ? column_type_of(stored.get()) : std::nullopt;
  if (!type) return out.status();
  shm::with_column_type(*type, [&](auto zero) {
    using Value = decltype(zero);
    Value value{};
    if (H5Aread(missing.get(), memory_type<Value>(), &value) >= 0) out.attribute(dataset, kMissingValue, value);
  });
  return out.status();
}

}  // namespace peaknet::writer
