#include "feed/decoders/zip.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

namespace peaknet::feed {
namespace {

constexpr std::uint32_t kLocalMagic = 0x04034b50, kCentralMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50, kLocator64Magic = 0x07064b50;
constexpr std::size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kLocator64Bytes = 20, kEnd64Bytes = 56;
constexpr std::size_t kLongestComment = 0xffff;
constexpr std::size_t kPiece = std::size_t{256} << 10;  // bytes that stay in a core's cache
constexpr std::uint32_t kIn64 = 0xffff'ffff;            // "look into the ZIP64 extra field"
constexpr std::uint16_t kExtra64 = 1;
constexpr std::uint16_t kEncrypted = 1U << 0;

template <class Number>
Number little(std::span<const std::byte> bytes, std::size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

Error truncated(const std::string& what) {
  return {"npz.truncated", "an npz message ends too early: " + what, "it was not used; the next message is served",
          "look at the sender and the network between"};
}
Error damaged(const std::string& what) {
  return {"npz.damaged", "an npz message is damaged: " + what, "it was not used; the next message is served",
          "look at the sender and the network between"};
}
Error unsupported(const std::string& what) {
  return {"npz.unsupported", "an npz message has " + what, "it was not used; the next message is served",
          "write it with numpy.savez or numpy.savez_compressed"};
}

struct Directory {
  std::uint64_t members = 0, bytes = 0, offset = 0;
};

Result<Directory> find_directory(std::span<const std::byte> archive) {
  if (archive.size() < kEndBytes) return truncated("it has only " + std::to_string(archive.size()) + " bytes");
  // The end record is last, but for a comment (NumPy writes none).
  const std::size_t last = archive.size() - kEndBytes;
  const std::size_t first = last > kLongestComment ? last - kLongestComment : 0;
  std::size_t end = last;
  for (;; --end) {
    if (little<std::uint32_t>(archive, end) == kEndMagic &&
        end + kEndBytes + little<std::uint16_t>(archive, end + 20) == archive.size()) {
      break;
    }
    if (end == first) return truncated("its directory is missing");
  }
  Directory directory{little<std::uint16_t>(archive, end + 10), little<std::uint32_t>(archive, end + 12),
                      little<std::uint32_t>(archive, end + 16)};
  if (little<std::uint16_t>(archive, end + 4) != 0 || little<std::uint16_t>(archive, end + 6) != 0) {
    return unsupported("several parts");
  }
  if (directory.members == 0xffff || directory.bytes == kIn64 || directory.offset == kIn64) {
    if (end < kLocator64Bytes + kEnd64Bytes ||
        little<std::uint32_t>(archive, end - kLocator64Bytes) != kLocator64Magic) {
      return damaged("its ZIP64 directory is missing");
    }
    const auto at = little<std::uint64_t>(archive, end - kLocator64Bytes + 8);
    if (at > archive.size() - kEnd64Bytes || little<std::uint32_t>(archive, at) != kEnd64Magic) {
      return damaged("its ZIP64 directory is missing");
    }
    end = at;
    directory = {little<std::uint64_t>(archive, at + 32), little<std::uint64_t>(archive, at + 40),
                 little<std::uint64_t>(archive, at + 48)};
  }
  if (directory.members > kMostMembers) {
    return unsupported(std::to_string(directory.members) + " members, at most " + std::to_string(kMostMembers) +
                       " are allowed");
  }
  if (directory.offset > end || directory.bytes > end - directory.offset) return damaged("its directory lies outside");
  if (directory.bytes != end - directory.offset) return damaged("it is not one archive, but several put together");
  return directory;
}

// Replaces the sizes that the short fields could not hold, in the order in which the format has them.
bool apply_extra64(std::span<const std::byte> extra, std::span<std::uint64_t* const> wanted) {
  if (wanted.empty()) return true;
  while (extra.size() >= 4) {
    const auto id = little<std::uint16_t>(extra, 0), size = little<std::uint16_t>(extra, 2);
    if (size > extra.size() - 4) return false;
    if (id == kExtra64) {
      if (size < 8 * wanted.size()) return false;
      for (std::size_t i = 0; i < wanted.size(); ++i) *wanted[i] = little<std::uint64_t>(extra, 4 + 8 * i);
      return true;
    }
    extra = extra.subspan(4 + std::size_t{size});
  }
  return false;
}

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Result<std::vector<ZipMember>> zip_members(std::span<const std::byte> archive) {
  const auto directory = find_directory(archive);
  if (!directory) return directory.error();
  auto entries = archive.subspan(directory->offset, directory->bytes);
  std::vector<ZipMember> members;
  std::set<std::string_view> names;
  for (std::uint64_t i = 0; i < directory->members; ++i) {
    if (entries.size() < kCentralBytes || little<std::uint32_t>(entries, 0) != kCentralMagic) {
      return damaged("entry " + std::to_string(i) + " of its directory");
    }
    const auto flags = little<std::uint16_t>(entries, 8), method = little<std::uint16_t>(entries, 10);
    const std::size_t name_bytes = little<std::uint16_t>(entries, 28), extra_bytes = little<std::uint16_t>(entries, 30),
                      comment_bytes = little<std::uint16_t>(entries, 32);
    std::uint64_t packed = little<std::uint32_t>(entries, 20), unpacked = little<std::uint32_t>(entries, 24),
                  offset = little<std::uint32_t>(entries, 42);
    if (name_bytes + extra_bytes + comment_bytes > entries.size() - kCentralBytes) {
      return damaged("entry " + std::to_string(i) + " of its directory");
    }
    ZipMember member;
    member.name = text(entries.subspan(kCentralBytes, name_bytes));
    if (!names.insert(member.name).second)
      return damaged("member '" + std::string(member.name) + "', which is there twice,");
    member.crc = little<std::uint32_t>(entries, 16);
    std::vector<std::uint64_t*> wanted;
    for (std::uint64_t* field : {&unpacked, &packed, &offset}) {
      if (*field == kIn64) wanted.push_back(field);
    }
    if (!apply_extra64(entries.subspan(kCentralBytes + name_bytes, extra_bytes), wanted)) {
      return damaged("the ZIP64 sizes of entry " + std::to_string(i));
    }
    entries = entries.subspan(kCentralBytes + name_bytes + extra_bytes + comment_bytes);

    const std::string who = "member '" + std::string(member.name) + "'";
    if ((flags & kEncrypted) != 0) return unsupported("an encrypted " + who);
    if (method != 0 && method != 8) return unsupported(who + " packed with method " + std::to_string(method));
    member.deflated = method == 8;
    member.unpacked = unpacked;
    if (offset > directory->offset || directory->offset - offset < kLocalBytes ||
        little<std::uint32_t>(archive, offset) != kLocalMagic) {
      return damaged(who + " is not where the directory says");
    }
    const std::size_t local_name = little<std::uint16_t>(archive, offset + 26),
                      local_extra = little<std::uint16_t>(archive, offset + 28);
    const std::uint64_t room = directory->offset - offset - kLocalBytes;
    if (local_name + local_extra > room || packed > room - local_name - local_extra) {
      return truncated(who + " has " + std::to_string(packed) + " bytes, and there is room for " +
                       std::to_string(room));
    }
    if (little<std::uint16_t>(archive, offset + 8) != method ||
        text(archive.subspan(offset + kLocalBytes, local_name)) != member.name) {
      return damaged("the header of " + who + " is not that of the directory");
    }
    if (!member.deflated && packed != unpacked) return damaged("the sizes of the stored " + who + " differ");
    member.packed = archive.subspan(offset + kLocalBytes + local_name + local_extra, packed);
    members.push_back(member);
  }
  return members;
}

ZipReader::ZipReader(const ZipMember& member)
    : member_(member),
      inflater_(member.deflated ? std::make_unique<Inflater>(member.packed) : nullptr),
      left_(member.unpacked) {}

Error ZipReader::damaged(const std::string& what) const {
  return feed::damaged("member '" + std::string(member_.name) + "' " + what);
}

void ZipReader::checksum(std::span<const std::byte> bytes) { crc_ = crc32_of(crc_, bytes); }

Status ZipReader::read(std::span<std::byte> out) {
  if (out.size() > left_) {
    return truncated("member '" + std::string(member_.name) + "' has " + std::to_string(left_) + " bytes left, " +
                     std::to_string(out.size()) + " are needed");
  }
  if (inflater_ == nullptr) {
    const auto from = member_.packed.subspan(member_.unpacked - left_, out.size());
    for (std::size_t at = 0; at < out.size(); at += kPiece) {
      const auto piece = from.subspan(at, std::min(kPiece, from.size() - at));
      std::memcpy(out.data() + at, piece.data(), piece.size());
      checksum(out.subspan(at, piece.size()));  // while it is in the cache
    }
  } else {
    if (!inflater_->read(out)) return damaged("cannot be unpacked");
    checksum(out);
  }
  left_ -= out.size();
  return {};
}

Result<std::span<const std::byte>> ZipReader::rest(std::span<std::byte> whole, WholeInflater& inflater) {
  const std::uint64_t begin = member_.unpacked - left_;
  std::span<const std::byte> all = member_.packed;
  if (inflater_ != nullptr) {
    if (whole.size() != member_.unpacked || !inflater.unpack(member_.packed, Deflate::raw, whole)) {
      return damaged("cannot be unpacked to its size");
    }
    all = whole;
    crc_ = 0;
    checksum(all);
  } else {
    checksum(all.subspan(begin));
  }
  left_ = 0;
  if (crc_ != member_.crc) return damaged("does not have the checksum it was written with");
  return all.subspan(begin);
}

Status ZipReader::finish() {
  if (left_ != 0) return damaged("has " + std::to_string(left_) + " bytes more than its array");
  if (inflater_ != nullptr && !inflater_->at_end()) return damaged("is larger than its header says");
  if (crc_ != member_.crc) return damaged("does not have the checksum it was written with");
  return {};
}

}  // namespace peaknet::feed
