#include "config/model_archive.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

namespace peaknet::model {
namespace {

constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50, kEntry = 0x02014b50,
                        kLocal = 0x04034b50;
constexpr std::uint32_t kDeflated = 8;
constexpr std::size_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kEntryBytes = 46, kLocalBytes = 30;
constexpr std::uint64_t kLongestComment = 65535;
constexpr std::size_t kPart = std::size_t{1} << 20U;
constexpr std::uint64_t kLargestDirectory = 64U << 20U;  // of names; a package has some dozen records

// Little-endian numbers of a block, read only where they lie inside it.
class Block {
 public:
  explicit Block(std::string bytes) : bytes_(std::move(bytes)) {}
  std::size_t size() const { return bytes_.size(); }
  bool holds(std::size_t at, std::size_t bytes) const { return at <= size() && bytes <= size() - at; }
  std::uint64_t number(std::size_t at, std::size_t bytes) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes && at + i < size(); ++i)
      value |= std::uint64_t{static_cast<unsigned char>(bytes_[at + i])} << (8 * i);
    return value;
  }
  std::uint32_t u32(std::size_t at) const { return static_cast<std::uint32_t>(number(at, 4)); }
  std::uint32_t u16(std::size_t at) const { return static_cast<std::uint32_t>(number(at, 2)); }
  std::string text(std::size_t at, std::size_t bytes) const { return bytes_.substr(at, bytes); }
  std::size_t find_last(std::uint32_t mark) const {
    std::array<char, 4> raw{};
    for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<char>(mark >> (8 * i) & 0xffU);
    return bytes_.rfind(std::string_view(raw.data(), raw.size()));
  }

 private:
  std::string bytes_;
};

std::optional<Block> block_at(std::ifstream& file, std::uint64_t at, std::uint64_t bytes) {
  std::string raw(bytes, '\0');
  file.clear();
  file.seekg(static_cast<std::streamoff>(at));
  file.read(raw.data(), static_cast<std::streamsize>(bytes));
  if (!file) return std::nullopt;
  return Block(std::move(raw));
}

Error unreadable(const std::string& path, const std::string& what) {
  return {"model.unreadable", "cannot read the model file " + path + ": " + what, "no other model was touched",
          "copy the file again from where it was made, or make it again with models/export.py"};
}

// Unpacks a record part by part.
class Inflater {
 public:
  Inflater() : good_(inflateInit2(&stream_, -MAX_WBITS) == Z_OK), out_(kPart) {}
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  // What comes out of the next bytes, `most` at most, goes to `take`. An error without an id: the bytes are damaged.
  Status unpack(char* bytes, std::size_t count, std::uint64_t most, const ModelArchive::Take& take) {
    stream_.next_in = reinterpret_cast<Bytef*>(bytes);
    stream_.avail_in = static_cast<uInt>(count);
    for (bool more = true; more;) {
      stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
      stream_.avail_out = static_cast<uInt>(out_.size());
      const int result = good_ ? inflate(&stream_, Z_NO_FLUSH) : Z_DATA_ERROR;
      const std::size_t came = out_.size() - stream_.avail_out;
      if ((result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) || came > most) return Error{};
      if (auto taken = take(out_.data(), came); !taken) return taken;
      most -= came;
      more = result == Z_OK && came == out_.size();
    }
    return {};
  }

 private:
  z_stream stream_{};
  bool good_;
  std::vector<char> out_;
};

struct CentralDirectory {
  std::uint64_t offset = 0, bytes = 0, entries = 0;
};

std::optional<CentralDirectory> find_directory(std::ifstream& file, std::uint64_t size) {
  if (size < kEndBytes) return std::nullopt;
  const std::uint64_t tail = std::min<std::uint64_t>(size, kEndBytes + kLongestComment);
  const auto last = block_at(file, size - tail, tail);
  const std::size_t at = last ? last->find_last(kEnd) : std::string::npos;
  if (at == std::string::npos || !last->holds(at, kEndBytes)) return std::nullopt;
  CentralDirectory directory{last->u32(at + 16), last->u32(at + 12), last->u16(at + 10)};
  const std::uint64_t end = size - tail + at;
  if (end >= kLocatorBytes) {
    const auto locator = block_at(file, end - kLocatorBytes, kLocatorBytes);
    if (locator && locator->u32(0) == kLocator64) {
      const std::uint64_t where = locator->number(8, 8);
      if (where > size || size - where < kEnd64Bytes) return std::nullopt;
      const auto wide = block_at(file, where, kEnd64Bytes);
      if (!wide || wide->u32(0) != kEnd64) return std::nullopt;
      directory = {wide->number(48, 8), wide->number(40, 8), wide->number(32, 8)};
    }
  }
  if (directory.bytes > kLargestDirectory || directory.offset > size || directory.bytes > size - directory.offset)
    return std::nullopt;
  return directory;
}

struct Entry {
  std::string name;
  std::uint64_t bytes = 0, stored = 0, header = 0;
  std::uint32_t crc = 0, method = 0;
};

// The entry at `at`, which moves behind it.
std::optional<Entry> next_entry(const Block& block, std::size_t& at) {
  if (!block.holds(at, kEntryBytes) || block.u32(at) != kEntry) return std::nullopt;
  const std::size_t name = block.u16(at + 28);
  const std::size_t extra = block.u16(at + 30);
  const std::size_t comment = block.u16(at + 32);
  if (!block.holds(at + kEntryBytes, name + extra + comment)) return std::nullopt;
  Entry entry{block.text(at + kEntryBytes, name),
              block.u32(at + 24),
              block.u32(at + 20),
              block.u32(at + 42),
              block.u32(at + 16),
              block.u16(at + 10)};
  std::size_t field = at + kEntryBytes + name;
  const std::size_t end = field + extra;
  while (field + 4 <= end) {
    const std::size_t bytes = block.u16(field + 2);
    if (block.u16(field) == 1) {  // ZIP64: those that did not fit above, in this order
      std::size_t from = field + 4;
      for (std::uint64_t* value : {&entry.bytes, &entry.stored, &entry.header}) {
        if (*value != 0xffffffffU || from + 8 > std::min(field + 4 + bytes, end)) continue;
        *value = block.number(from, 8);
        from += 8;
      }
    }
    field += 4 + bytes;
  }
  at += kEntryBytes + name + extra + comment;
  return entry;
}

}  // namespace

Result<ModelArchive> ModelArchive::open(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return unreadable(path, std::strerror(errno));
  const auto size = static_cast<std::uint64_t>(file.tellg());
  const auto directory = find_directory(file, size);
  if (!directory) return unreadable(path, "it is no ZIP archive, or it is cut");
  const auto block = block_at(file, directory->offset, directory->bytes);
  if (!block) return unreadable(path, "its table of records cannot be read");
  ModelArchive archive;
  archive.path_ = path;
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < directory->entries; ++i) {
    const auto entry = next_entry(*block, at);
    if (!entry) return unreadable(path, "its table of records is damaged");
    const bool packed = entry->method == kDeflated;
    if (!packed && (entry->method != 0 || entry->bytes != entry->stored))
      return unreadable(path, "its record " + entry->name + " is packed in a way that models are not");
    if (entry->header > size || entry->stored > size - entry->header)
      return unreadable(path, "its record " + entry->name + " ends beyond the file");
    if (entry->name.empty() || entry->name.back() == '/') continue;  // a folder
    const std::string name = entry->name.substr(entry->name.find('/') + 1);
    if (!archive.sizes_.emplace(name, entry->bytes).second) return unreadable(path, "it holds " + name + " twice");
    archive.places_[name] = {entry->header, entry->stored, entry->crc, packed};
  }
  return archive;
}

Status ModelArchive::read(const std::string& record, const Take& take) const {
  const auto place = places_.find(record);
  if (place == places_.end()) return unreadable(path_, "it has no record " + record);
  std::ifstream file(path_, std::ios::binary);
  const auto header = block_at(file, place->second.header, kLocalBytes);
  if (!header || header->u32(0) != kLocal)
    return unreadable(path_, "its record " + record + " is not where it should be");
  file.seekg(static_cast<std::streamoff>(place->second.header + kLocalBytes + header->u16(26) + header->u16(28)));
  uLong crc = crc32(0, nullptr, 0);
  std::uint64_t given = 0;
  const Take counted = [&](const char* part, std::size_t bytes) {
    crc = crc32(crc, reinterpret_cast<const Bytef*>(part), static_cast<uInt>(bytes));
    given += bytes;
    return take(part, bytes);
  };
  std::optional<Inflater> inflater;
  if (place->second.packed) inflater.emplace();
  std::vector<char> part(kPart);
  for (std::uint64_t left = place->second.stored; left > 0;) {
    const std::size_t bytes = std::min<std::uint64_t>(left, part.size());
    if (!file.read(part.data(), static_cast<std::streamsize>(bytes)))
      return unreadable(path_, "its record " + record + " is cut");
    auto taken = inflater ? inflater->unpack(part.data(), bytes, sizes_.at(record) - given, counted)
                          : counted(part.data(), bytes);
    if (!taken) return taken.error().id.empty() ? unreadable(path_, "its record " + record + " is damaged") : taken;
    left -= bytes;
  }
  if (crc != place->second.crc || given != sizes_.at(record))
    return unreadable(path_, "the checksum of its record " + record + " is wrong");
  return {};
}

Status ModelArchive::check() const {
  for (const auto& [record, bytes] : sizes_) {
    if (auto sound = read(record, [](const char*, std::size_t) { return Status{}; }); !sound) return sound;
  }
  return {};
}

}  // namespace peaknet::model
