#include "live/served_book.hpp"

#include <fcntl.h>

#include <utility>
#include <vector>

#include "cxi/records.hpp"

namespace peaknet::live {
namespace {

constexpr std::uint64_t kFormat = 1;

// Kinds of records; the header has the format in the place of the instance.
constexpr std::uint32_t kHeader = 1, kHanding = 2, kHanded = 3, kReturned = 4, kComplete = 5;

std::optional<HitKey> decode(std::span<const std::byte> payload) {
  writer::ByteReader in(payload);
  HitKey key;
  key.instance_uuid = in.get<std::uint64_t>();
  key.producer = in.get<std::uint64_t>();
  key.producer_seq = in.get<std::uint64_t>();
  if (!in.ok() || !in.at_end()) return std::nullopt;
  return key;
}

}  // namespace

Result<ServedBook> ServedBook::open(const std::filesystem::path& path) {
  auto file = writer::PosixFile::open(path, O_RDWR | O_CREAT);
  if (!file) return file.error();
  const auto locked = file->try_lock();
  if (!locked) return locked.error();
  if (!*locked) {
    return Error{"live.book-taken", "another peaknet-live writes " + path.string(), "nothing was served",
                 "let it serve, or give this one a name of its own: --name"};
  }
  ServedBook book(std::move(*file));
  if (auto read = book.read(); !read) return read.error();
  return book;
}

Status ServedBook::read() {
  const auto size = file_.size();
  if (!size) return size.error();
  std::vector<std::byte> bytes(*size);
  if (auto read = file_.read_at(0, bytes); !read) return read;
  const auto header = writer::record_at(bytes);
  if (header && header->kind == kHeader) {
    const auto format = decode(header->payload);
    if (!format || format->instance_uuid != kFormat) {
      return Error{"live.book-format", file_.path().string() + " is a book of another version", "it was not touched",
                   "move it away; hits of this run are then served again"};
    }
  }
  const auto unread = writer::each_record(bytes, [&](const writer::Record& record) {
    const auto key = decode(record.payload);
    if (!key) return false;
    if (record.kind == kHanding) {
      handed_.insert(*key);
      uncertain_ = *key;
    } else {
      if (record.kind == kReturned) handed_.erase(*key);
      complete_ = record.kind == kComplete;
      uncertain_.reset();
    }
    return true;
  });
  damaged_bytes_ = unread.damaged_bytes;
  end_ = bytes.size() - unread.torn_bytes;
  if (unread.torn_bytes > 0) {
    if (auto cut = file_.resize(end_); !cut) return cut;
  }
  return end_ == 0 ? append(kHeader, {kFormat, 0, 0}) : Status();
}

Status ServedBook::append(std::uint32_t kind, const HitKey& key) {
  writer::ByteWriter payload;
  payload.put(key.instance_uuid);
  payload.put(key.producer);
  payload.put(key.producer_seq);
  writer::ByteWriter record;
  writer::put_record(record, kind, payload.bytes());
  if (auto written = file_.write_at(end_, record.bytes()); !written) return written;
  end_ += record.size();
  return {};
}

Status ServedBook::begin(const HitKey& key) {
  auto noted = append(kHanding, key);
  if (noted) handed_.insert(key);
  return noted;
}

Status ServedBook::end(const HitKey& key, bool sent) {
  if (!sent) handed_.erase(key);
  return append(sent ? kHanded : kReturned, key);
}

Status ServedBook::close_run() {
  complete_ = true;
  return append(kComplete, {});
}

}  // namespace peaknet::live
