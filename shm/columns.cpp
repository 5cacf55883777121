#include "shm/columns.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/text.hpp"

namespace peaknet::shm {
namespace {

constexpr std::size_t kAlignment = 8;

Error bad(const std::string& what) { return {"columns.bad", what, "", "correct feed.columns in the configuration"}; }

// FNV-1a.
class Digest {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) add_byte(static_cast<unsigned char>(byte));
    add_byte(0);
  }
  void add(std::uint64_t value) {
    for (int byte = 0; byte < 8; ++byte) add_byte(static_cast<unsigned char>(value >> (8 * byte) & 0xffU));
  }
  std::uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char byte) {
    value_ ^= byte;
    value_ *= 0x100000001b3ULL;
  }
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

template <std::size_t N>
void put_text(std::array<char, N>& to, const std::string& text) {
  text.copy(to.data(), N - 1);
}
template <std::size_t N>
std::optional<std::string> text_of(const std::array<char, N>& from) {
  const auto end = std::find(from.begin(), from.end(), '\0');
  if (end == from.end()) return std::nullopt;
  return std::string(from.begin(), end);
}

bool is_place(const std::string& dataset) {
  return dataset.size() > 1 && dataset.size() < sizeof(ColumnRecord::dataset) && dataset.front() == '/' &&
         dataset.back() != '/' && dataset.find("//") == std::string::npos &&
         std::all_of(dataset.begin(), dataset.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

Status check(const Column& column) {
  if (!is_plain_name(column.name, sizeof(ColumnRecord::name) - 1))
    return bad("'" + column.name + "' is no name of a column: up to 63 letters, digits, '.', '_' or '-'");
  const std::string who = "the column '" + column.name + "'";
  if (!is_place(column.dataset)) return bad(who + " has the dataset '" + column.dataset + "', which is no path");
  if (column.unit.size() >= sizeof(ColumnRecord::unit)) return bad(who + " has a unit of more than 31 characters");
  if (size_of(column.type) == 0) return bad(who + " has no known type");
  if (column.length > kMostColumnValues) {
    return bad(who + " has " + std::to_string(column.length) + " values, at most " + std::to_string(kMostColumnValues) +
               " are allowed");
  }
  return {};
}

// One dataset for each, none inside of another.
Status check_together(const std::vector<Column>& columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    for (std::size_t j = 0; j < columns.size(); ++j) {
      if (i == j) continue;
      if (columns[i].name == columns[j].name) return bad("there are two columns '" + columns[i].name + "'");
      if (columns[i].dataset == columns[j].dataset || columns[j].dataset.starts_with(columns[i].dataset + "/")) {
        return bad("the columns '" + columns[i].name + "' and '" + columns[j].name + "' cannot be " +
                   columns[i].dataset + " and " + columns[j].dataset + " in one file");
      }
    }
  }
  return {};
}

}  // namespace

std::optional<ColumnType> parse_column_type(std::string_view text) {
  for (std::uint32_t type = 1; type <= kColumnTypes; ++type) {
    if (text == name(static_cast<ColumnType>(type))) return static_cast<ColumnType>(type);
  }
  return std::nullopt;
}

std::array<std::byte, 8> usual_unknown(ColumnType type) {
  std::array<std::byte, 8> bytes{};
  with_column_type(type, [&](auto zero) {
    using Value = decltype(zero);
    using Limits = std::numeric_limits<Value>;
    Value value = std::is_signed_v<Value> ? Limits::lowest() : Limits::max();
    if constexpr (std::is_floating_point_v<Value>) value = Limits::quiet_NaN();
    std::memcpy(bytes.data(), &value, sizeof value);
  });
  return bytes;
}

Result<ColumnTable> ColumnTable::make(std::vector<Column> columns) {
  if (columns.size() > kMostColumns) {
    return bad("there are " + std::to_string(columns.size()) + " columns, at most " + std::to_string(kMostColumns) +
               " are allowed");
  }
  ColumnTable table;
  Digest digest;
  for (Column& column : columns) {
    if (auto good = check(column); !good) return good.error();
    // What is behind the value means nothing, and tables are compared.
    std::fill(column.unknown.begin() + static_cast<std::ptrdiff_t>(size_of(column.type)), column.unknown.end(),
              std::byte{0});
    table.offsets_.push_back(table.row_bytes_);
    table.row_bytes_ += (column.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    if (table.row_bytes_ > kMostRowBytes) {
      return bad("the columns up to '" + column.name + "' have " + std::to_string(table.row_bytes_) +
                 " bytes for an event, at most " + std::to_string(kMostRowBytes) + " are allowed");
    }
    for (const auto* text : {&column.name, &column.dataset, &column.unit}) digest.add(*text);
    digest.add(static_cast<std::uint64_t>(column.type));
    digest.add(std::uint64_t{column.length});
    std::uint64_t unknown = 0;
    std::memcpy(&unknown, column.unknown.data(), sizeof unknown);
    digest.add(unknown);
  }
  if (auto good = check_together(columns); !good) return good.error();
  table.columns_ = std::move(columns);
  table.digest_ = digest.value();
  return table;
}

Result<ColumnTable> ColumnTable::from_records(std::span<const ColumnRecord> records) {
  if (records.size() > kMostColumns) return bad("there are " + std::to_string(records.size()) + " columns");
  std::vector<Column> columns;
  for (const ColumnRecord& shared : records) {
    const ColumnRecord record = shared;  // once: others may write there
    auto name = text_of(record.name), dataset = text_of(record.dataset), unit = text_of(record.unit);
    if (!name || !dataset || !unit) return bad("a column has a text without an end");
    columns.push_back({std::move(*name), std::move(*dataset), std::move(*unit), static_cast<ColumnType>(record.type),
                       record.length, record.unknown});
  }
  return make(std::move(columns));
}

std::vector<ColumnRecord> ColumnTable::records() const {
  std::vector<ColumnRecord> all(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    put_text(all[i].name, columns_[i].name);
    put_text(all[i].dataset, columns_[i].dataset);
    put_text(all[i].unit, columns_[i].unit);
    all[i].type = static_cast<std::uint32_t>(columns_[i].type);
    all[i].length = columns_[i].length;
    all[i].unknown = columns_[i].unknown;
  }
  return all;
}

std::optional<std::size_t> ColumnTable::find(std::string_view name) const {
  const auto found = std::find_if(columns_.begin(), columns_.end(), [&](const Column& c) { return c.name == name; });
  if (found == columns_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns_.begin());
}

Error ColumnTable::no_such(std::string_view name) const {
  std::vector<std::string> names;
  for (const Column& column : columns_) names.push_back(column.name);
  const std::string near = nearest(name, names);
  const std::string hint = near.empty() ? "" : " (did you mean '" + near + "'?)";
  return {"columns.unknown",
          "the pool has no column '" + std::string(name.substr(0, 64)) + "'" + hint +
              (empty() ? "; it has none at all" : ""),
          "nothing was set", "name it in feed.columns and restart peaknetd"};
}

bool ColumnTable::known(std::span<const std::byte> row, std::size_t column) const {
  const Column& one = columns_[column];
  const auto all = values(row, column);
  return with_column_type(one.type, [&](auto zero) {
    using Value = decltype(zero);
    Value unknown{};
    std::memcpy(&unknown, one.unknown.data(), sizeof unknown);
    for (std::size_t at = 0; at < all.size(); at += sizeof(Value)) {
      Value value{};
      std::memcpy(&value, all.data() + at, sizeof value);
      const bool both_nan = value != value && unknown != unknown;  // NOLINT(misc-redundant-expression)
      if (value != unknown && !both_nan) return true;
    }
    return false;
  });
}

ColumnRow ColumnTable::unknown_row() const {
  ColumnRow row(row_bytes_);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::size_t size = size_of(columns_[i].type);
    for (std::size_t at = 0; at < columns_[i].bytes(); at += size)
      std::memcpy(row.data() + offsets_[i] + at, columns_[i].unknown.data(), size);
  }
  return row;
}

Status ColumnWriter::put(std::size_t column, ColumnType type, std::span<const std::byte> values) {
  const Column& wanted = (*table_)[column];
  if (type != wanted.type || values.size() != wanted.bytes()) {
    const std::size_t count = size_of(type) == 0 ? 0 : values.size() / size_of(type);
    return Error{"columns.other-type",
                 "the column '" + wanted.name + "' was given " + std::to_string(count) + " values of " +
                     std::string(name(type)) + ", it has " + std::to_string(wanted.values()) + " of " +
                     std::string(name(wanted.type)),
                 "nothing was set", "give it in its own type and length; see feed.columns"};
  }
  std::memcpy(row_ + table_->offset(column), values.data(), values.size());
  *known_ |= std::uint64_t{1} << column;
  return {};
}

Result<ColumnRow> row_of(const ColumnTable& table, std::span<const std::byte> side, std::uint64_t sequence) {
  SideHeader header{.magic = 0, .version = 0};
  if (side.size() == table.side_bytes() && side.size() >= sizeof header)
    std::memcpy(&header, side.data(), sizeof header);
  if (header.magic != kSideMagic || header.version != kSideVersion || header.table != table.digest() ||
      header.sequence != sequence) {
    return Error{"columns.other-frame",
                 "the columns beside the frame of sequence " + std::to_string(sequence) +
                     " are not those of this frame (sequence " + std::to_string(header.sequence) + ", version " +
                     std::to_string(header.version) + ")",
                 "the frame is as it was; its columns are not known",
                 "find the program that writes past its slot (peaknetctl stats lists them)"};
  }
  ColumnRow row = table.unknown_row();
  const auto values = side.subspan(sizeof header);
  for (std::size_t i = 0; i < table.size(); ++i) {
    if ((header.known >> i & 1U) == 0) continue;
    const auto known = table.values(values, i);
    std::copy(known.begin(), known.end(), row.begin() + static_cast<std::ptrdiff_t>(table.offset(i)));
  }
  return row;
}

}  // namespace peaknet::shm
