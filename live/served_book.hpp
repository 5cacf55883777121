// ServedBook: which hits of a run were handed to workers, so that a peaknet-live that is started again serves each hit
// once.
//
//   {prefix}_run{run}.{name}.served    a header, then for each hit `handing` (its name) before the last byte of its
//   reply
//                                      is sent, and `handed` or `returned` after it
//
// Invariant: what is in the book is in the kernel when the call returns, and so survives kill -9 at any instruction. A
// `handing` without the record behind it is the one hit of which nobody knows whether its worker has it: it is counted
// as uncertain, and not served again (at most once). A hit without a `handing` was never whole in the hands of a
// worker, and is served (at least once). So of all hits between two kills only that one is not exactly once.
//
// The book is not synced: a power cut takes its last seconds, and the workers with them.
//
// Threads: one. Errors: live.book-taken (another peaknet-live has it), live.book-format, and those of the disk.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "base/result.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::live {

// The name of a hit for ever: its instance's life, its producer, and its sequence there.
struct HitKey {
  std::uint64_t instance_uuid = 0;
  std::uint64_t producer = 0;
  std::uint64_t producer_seq = 0;
  // clang-tidy 14 takes the comparison with 0 that this means for a null pointer.
  auto operator<=>(const HitKey&) const = default;  // NOLINT(modernize-use-nullptr)
};

class ServedBook {
 public:
  static Result<ServedBook> open(const std::filesystem::path& path);

  bool has(const HitKey& key) const { return handed_.contains(key); }
  std::size_t size() const { return handed_.size(); }
  // The hit whose handing a kill cut short, before this start.
  const std::optional<HitKey>& uncertain() const { return uncertain_; }
  std::uint64_t damaged_bytes() const { return damaged_bytes_; }
  // Everything of its run was served, and its run is over.
  bool complete() const { return complete_; }

  Status begin(const HitKey& key);
  Status end(const HitKey& key, bool sent);
  Status close_run();

 private:
  explicit ServedBook(writer::PosixFile file) : file_(std::move(file)) {}
  Status read();
  Status append(std::uint32_t kind, const HitKey& key);
  writer::PosixFile file_;
  std::uint64_t end_ = 0;
  std::set<HitKey> handed_;
  std::optional<HitKey> uncertain_;
  std::uint64_t damaged_bytes_ = 0;
  bool complete_ = false;
};

}  // namespace peaknet::live
