// Columns: what is known of an event beside its image, time and energy (event codes, a laser's state, a spectrum), and
// how it travels with the frame.
//
// A pool has a table of columns, fixed when peaknetd makes it (feed.columns of the configuration): name, dataset in
// files, unit, type, number of values, and the value that says "not known". Whoever attaches reads the table from the
// pool, checks it and keeps a private copy. Each slot ends with a side area of a size that follows from the table:
//
//   SideHeader | the row: values of the first column | of the second | ...   each at a multiple of 8
//
// So a row has no lengths of its own that could lie: places and sizes follow from the reader's own copy of the table.
// The header says for which frame the row was filled, by which table, and which columns are known; a row that is not
// this frame's is not used. A pool without columns has no side area.
//
// Threads: values, any. A ColumnWriter belongs to the thread that has the slot. Errors: columns.*.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.hpp"

namespace peaknet::shm {

// The numbers are part of the layout of shared memory, of ledgers and of the C ABI: never renumber.
enum class ColumnType : std::uint32_t {
  uint8 = 1,
  int8 = 2,
  uint16 = 3,
  int16 = 4,
  uint32 = 5,
  int32 = 6,
  uint64 = 7,
  int64 = 8,
  float32 = 9,
  float64 = 10,
};
inline constexpr std::uint32_t kColumnTypes = 10;

// Bytes of one value; 0 for a number that is no ColumnType.
constexpr std::size_t size_of(ColumnType type) {
  constexpr std::array<std::size_t, kColumnTypes + 1> kSizes = {0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
  return static_cast<std::uint32_t>(type) <= kColumnTypes ? kSizes[static_cast<std::uint32_t>(type)] : 0;
}
// As NumPy has it; "unknown" for a number that is no ColumnType.
constexpr std::string_view name(ColumnType type) {
  constexpr std::array<std::string_view, kColumnTypes + 1> kNames = {
      "unknown", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"};
  return static_cast<std::uint32_t>(type) <= kColumnTypes ? kNames[static_cast<std::uint32_t>(type)] : kNames[0];
}
std::optional<ColumnType> parse_column_type(std::string_view text);

template <class T>
constexpr ColumnType column_type_of() {
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && sizeof(T) <= 8);
  if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? ColumnType::float32 : ColumnType::float64;
  const std::uint32_t by_size = 2 * static_cast<std::uint32_t>(std::countr_zero(sizeof(T)));
  return static_cast<ColumnType>(1 + by_size + (std::is_signed_v<T> ? 1 : 0));
}

// Calls `work` with a zero of the type that `type`, which is one, names.
template <class Work>
constexpr auto with_column_type(ColumnType type, Work work) {
  switch (type) {
    case ColumnType::uint8:
      return work(std::uint8_t{});
    case ColumnType::int8:
      return work(std::int8_t{});
    case ColumnType::uint16:
      return work(std::uint16_t{});
    case ColumnType::int16:
      return work(std::int16_t{});
    case ColumnType::uint32:
      return work(std::uint32_t{});
    case ColumnType::int32:
      return work(std::int32_t{});
    case ColumnType::uint64:
      return work(std::uint64_t{});
    case ColumnType::int64:
      return work(std::int64_t{});
    case ColumnType::float32:
      return work(float{});
    case ColumnType::float64:
      break;
  }
  return work(double{});
}

inline constexpr std::size_t kMostColumns = 64;  // bits of SideHeader::known
inline constexpr std::uint32_t kMostColumnValues = 65536;
inline constexpr std::size_t kMostRowBytes = std::size_t{256} << 10;  // of all columns of an event

struct Column {
  std::string name;     // plain, up to 63 characters
  std::string dataset;  // its place in files, "/LCLS/laser_on"
  std::string unit;     // "" for none
  ColumnType type = ColumnType::float64;
  std::uint32_t length = 0;               // values of an event; 0: a single one, which is no array in files
  std::array<std::byte, 8> unknown = {};  // the value that says "not known"; the first size_of(type) bytes

  std::size_t values() const { return length == 0 ? 1 : length; }
  std::size_t bytes() const { return values() * size_of(type); }
  bool operator==(const Column&) const = default;
};

// NaN; the largest number of an unsigned type, the smallest of a signed one.
std::array<std::byte, 8> usual_unknown(ColumnType type);

// A column as it lies in the pool.
struct ColumnRecord {
  std::array<char, 64> name{};
  std::array<char, 128> dataset{};
  std::array<char, 32> unit{};
  std::uint32_t type = 0;
  std::uint32_t length = 0;
  std::array<std::byte, 8> unknown{};
};
static_assert(sizeof(ColumnRecord) == 240 && std::is_trivially_copyable_v<ColumnRecord>);

inline constexpr std::uint32_t kSideMagic = 0x4c4f'434b;  // "KCOL"
inline constexpr std::uint32_t kSideVersion = 1;
struct SideHeader {
  std::uint32_t magic = kSideMagic;
  std::uint32_t version = kSideVersion;
  std::uint64_t table = 0;     // ColumnTable::digest()
  std::uint64_t sequence = 0;  // of the claim that it was filled under
  std::uint64_t known = 0;     // bit i: column i has a value
};
static_assert(sizeof(SideHeader) == 32 && std::is_trivially_copyable_v<SideHeader>);

// The values of one event, in the order and at the places of its table; what is not known has the column's value for
// that. Empty where there are no columns.
using ColumnRow = std::vector<std::byte>;

class ColumnTable {
 public:
  ColumnTable() = default;  // no columns

  // Errors: columns.bad, with the limit that is broken.
  static Result<ColumnTable> make(std::vector<Column> columns);
  // What another process has written. Errors: columns.bad.
  static Result<ColumnTable> from_records(std::span<const ColumnRecord> records);
  std::vector<ColumnRecord> records() const;

  bool empty() const { return columns_.empty(); }
  std::size_t size() const { return columns_.size(); }
  const Column& operator[](std::size_t column) const { return columns_[column]; }
  const std::vector<Column>& all() const { return columns_; }
  std::optional<std::size_t> find(std::string_view name) const;
  // columns.unknown, with the nearest that there is.
  Error no_such(std::string_view name) const;

  std::size_t offset(std::size_t column) const { return offsets_[column]; }  // in a row
  std::size_t row_bytes() const { return row_bytes_; }
  std::size_t side_bytes() const { return empty() ? 0 : sizeof(SideHeader) + row_bytes_; }
  std::uint64_t digest() const { return digest_; }

  std::span<const std::byte> values(std::span<const std::byte> row, std::size_t column) const {
    return row.subspan(offsets_[column], columns_[column].bytes());
  }
  // False where each value is the one for "not known".
  bool known(std::span<const std::byte> row, std::size_t column) const;
  ColumnRow unknown_row() const;

  bool operator==(const ColumnTable& other) const { return columns_ == other.columns_; }

 private:
  std::vector<Column> columns_;
  std::vector<std::size_t> offsets_;
  std::size_t row_bytes_ = 0;
  std::uint64_t digest_ = 0;
};

// Writes columns of one frame that is not committed yet. A view: of the table, of the row in the slot, and of the bits
// of what is known; all of them outlive it.
class ColumnWriter {
 public:
  ColumnWriter() = default;  // of a pool without columns
  ColumnWriter(const ColumnTable& table, std::byte* row, std::uint64_t& known)
      : table_(&table), row_(row), known_(&known) {}

  bool any() const { return table_ != nullptr && !table_->empty(); }
  // Where any().
  const ColumnTable& table() const { return *table_; }

  // Exactly the values of that column, in its own type. Errors: columns.other-type; then it stays as it was.
  Status put(std::size_t column, ColumnType type, std::span<const std::byte> values);
  template <class T>
  Status set(std::string_view name, std::span<const T> values) {
    if (!any()) return ColumnTable().no_such(name);
    const auto column = table_->find(name);
    if (!column) return table_->no_such(name);
    return put(*column, column_type_of<T>(), std::as_bytes(values));
  }
  template <class T>
  requires std::is_arithmetic_v<T> Status set(std::string_view name, T value) {
    return set(name, std::span<const T>(&value, 1));
  }

 private:
  const ColumnTable* table_ = nullptr;
  std::byte* row_ = nullptr;
  std::uint64_t* known_ = nullptr;
};

// The row of a private copy of a side area, which is as long as the table says. Errors: columns.other-frame, where it
// is not that of the frame with this sequence: every column is then not known.
Result<ColumnRow> row_of(const ColumnTable& table, std::span<const std::byte> side, std::uint64_t sequence);

}  // namespace peaknet::shm
