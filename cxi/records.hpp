// Records of an append-only file that is read again after a crash: the ledger of an unfinished CXI file (ledger.hpp)
// and the outcome log (outcome_log.hpp). A record proves itself by its checksum, so a torn or damaged one is none, and
// those after a damaged one are still found. Pure functions, any thread.
//
//   magic | kind | bytes of the payload (u64) | checksum of kind, size and payload | 0 | payload, padded to 8 bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "cxi/bytes.hpp"

namespace peaknet::writer {

inline constexpr std::size_t kRecordPreamble = 24;
inline constexpr std::size_t kRecordAlignment = 8;

void put_record(ByteWriter& out, std::uint32_t kind, std::span<const std::byte> payload);

struct Record {
  std::uint32_t kind;
  std::span<const std::byte> payload;
  std::size_t bytes;  // with preamble and padding
};

// The whole and undamaged record at the beginning of `bytes`.
std::optional<Record> record_at(std::span<const std::byte> bytes);

struct Unread {
  std::uint64_t damaged_bytes = 0;  // between whole records: somebody or something changed the file
  std::uint64_t torn_bytes = 0;     // after the last whole record: what its writer was appending when it died
};

// Calls take(record) for every whole record; take() says false of one whose payload makes no sense, which is then taken
// for damaged.
template <class Take>
Unread each_record(std::span<const std::byte> rest, Take&& take) {
  Unread unread;
  std::uint64_t skipped = 0;
  while (!rest.empty()) {
    const auto record = record_at(rest);
    if (!record || !take(*record)) {  // the next record begins at a later multiple of 8
      const std::size_t step = rest.size() < kRecordAlignment ? rest.size() : kRecordAlignment;
      skipped += step;
      rest = rest.subspan(step);
      continue;
    }
    unread.damaged_bytes += std::exchange(skipped, 0);
    rest = rest.subspan(record->bytes);
  }
  unread.torn_bytes = skipped;
  return unread;
}

}  // namespace peaknet::writer
