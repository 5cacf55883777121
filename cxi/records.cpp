#include "cxi/records.hpp"

#include <algorithm>

#include "cxi/checksum.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kMagic = 0x5247'444c;  // "LDGR"

std::uint32_t record_checksum(std::uint32_t kind, std::span<const std::byte> payload) {
  ByteWriter head;
  head.put(kind);
  head.put(std::uint64_t{payload.size()});
  head.put(checksum(payload));
  return checksum(head.bytes());
}

}  // namespace

void put_record(ByteWriter& out, std::uint32_t kind, std::span<const std::byte> payload) {
  out.put(kMagic);
  out.put(kind);
  out.put(std::uint64_t{payload.size()});
  out.put(record_checksum(kind, payload));
  out.put(std::uint32_t{0});
  out.put_bytes(payload);
  out.pad_to(kRecordAlignment);
}

std::optional<Record> record_at(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const auto magic = in.get<std::uint32_t>();
  const auto kind = in.get<std::uint32_t>();
  const auto size = in.get<std::uint64_t>();
  const auto sum = in.get<std::uint32_t>();
  if (bytes.size() < kRecordPreamble || magic != kMagic || size > bytes.size() - kRecordPreamble) return std::nullopt;
  const auto payload = bytes.subspan(kRecordPreamble, size);
  if (sum != record_checksum(kind, payload)) return std::nullopt;
  const std::size_t whole = (kRecordPreamble + size + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
  return Record{kind, payload, std::min(whole, bytes.size())};
}

}  // namespace peaknet::writer
