// ZIP as NumPy writes it: members stored or deflated, ZIP64 where it must be. The central directory at the end is what
// counts; each local header must agree with it.
//
// Not read, and refused: encryption, other methods, archives in several parts, more than kMostMembers members.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/inflater.hpp"

namespace peaknet::feed {

inline constexpr std::size_t kMostMembers = 256;

struct ZipMember {
  std::string_view name;  // into the archive
  bool deflated = false;
  std::uint32_t crc = 0;
  std::uint64_t unpacked = 0;         // as the archive claims
  std::span<const std::byte> packed;  // into the archive
};

// Errors: npz.truncated, npz.damaged, npz.unsupported.
Result<std::vector<ZipMember>> zip_members(std::span<const std::byte> archive);

// A member from its first byte to its last. `finish` tells whether the bytes were the ones that were packed: what is
// read before must not leave the process.
class ZipReader {
 public:
  explicit ZipReader(const ZipMember& member);

  std::uint64_t left() const { return left_; }
  // The next out.size() bytes. Errors: npz.truncated, npz.damaged.
  Status read(std::span<std::byte> out);
  // All that is left, checked as `finish` does: of a stored member in the archive itself, of a deflated one in `whole`,
  // which must have room for exactly all of the member. Errors: npz.damaged.
  Result<std::span<const std::byte>> rest(std::span<std::byte> whole, WholeInflater& inflater);
  // After the last byte. Errors: npz.damaged, if the packed data goes on or the checksum is another.
  Status finish();

 private:
  void checksum(std::span<const std::byte> bytes);
  Error damaged(const std::string& what) const;
  ZipMember member_;
  std::unique_ptr<Inflater> inflater_;  // null: stored
  std::uint64_t left_;
  std::uint32_t crc_ = 0;
};

}  // namespace peaknet::feed
