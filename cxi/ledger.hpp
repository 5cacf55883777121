// Ledger: the small file beside an unfinished CXI file that says which events are durable in it, and where.
//
//   <name>.cxi.part     the HDF5 file while it grows; worthless to HDF5 if its writer dies, but its images lie at
//                       known places
//   <name>.cxi.ledger   a header record (FileFacts), one of the bad pixels, then one for each durable event: its
//                       metadata, its peaks, and address, size and checksum of its image and of its segmentation mask
//   <name>.cxi          the finished file
// Byte by byte: docs/formats/records.md.
//
// Invariant I4: a record is appended only after its image is on the disk, and an event counts as written (its slot is
// released) only after its record is on the disk. So a whole record is proof of a whole event. A torn or damaged record
// is none; the records after a damaged one are still found.
//
// The living writer holds a flock on its ledger from before it has this name until after it is gone, so a ledger that
// can be locked is an orphan, and whoever locks it may recover it (recovery.hpp). The ledger outlives the finished file
// until no frame of it is held in a slot any more: until then it is the memory of what must not be written a second
// time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cxi/event.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::writer {

inline constexpr std::string_view kPartSuffix = ".part";
inline constexpr std::string_view kLedgerSuffix = ".ledger";

// The ledger of the file that will be `final_path` ("x.cxi" -> "x.cxi.ledger"), its HDF5 file while it grows, and back.
std::filesystem::path ledger_of(const std::filesystem::path& final_path);
std::filesystem::path part_of(const std::filesystem::path& final_path);
std::filesystem::path final_of(const std::filesystem::path& ledger_path);

class Ledger {
 public:
  // Make the ledger for `final_path`, locked and with its header durable. Errors: those of disk_error. On an error
  // nothing is left.
  static Result<Ledger> create(const std::filesystem::path& final_path, const FileFacts& facts);

  // Make sure that append() of an event with that many peaks will not run out of space.
  Status make_room(std::size_t peaks);
  // Durable when it returns ok. On an error nobody knows which of these events are on the disk: the ledger takes no
  // more, and only recovery can tell.
  Status append(std::span<const StoredEvent> events);

  const std::filesystem::path& path() const { return file_.path(); }

  // Remove the name; then the lock goes too.
  Status remove();

 private:
  explicit Ledger(PosixFile file) : file_(std::move(file)) {}
  PosixFile file_;
  std::uint64_t end_ = 0;
  std::uint64_t reserved_ = 0;      // bytes that the file system promised
  std::uint64_t reserved_for_ = 0;  // of them, for events that make_room() announced and append() has not got yet
};

// What is in a ledger, whoever wrote it and however that one ended.
struct LedgerContents {
  FileFacts facts;
  std::vector<StoredEvent> events;
  std::uint64_t damaged_bytes = 0;  // between whole records: somebody or something changed the file
  std::uint64_t torn_bytes = 0;     // after the last whole record: what its writer was appending when it died
};

// Errors: ledger.no-header (cut or damaged in its first record), and those of the disk.
Result<LedgerContents> read_ledger(const PosixFile& file);
Result<FileFacts> read_ledger_header(const PosixFile& file);

// LedgerTail: a ledger read while its writer appends, for those who follow a run. It holds no lock, and goes on with
// the open file when the name is gone.
//
// Invariant I4: it gives each event once, in the order of the file. What the writer is just appending comes with a
// later call.
//
// Used by one thread at a time.
class LedgerTail {
 public:
  // Errors: as read_ledger_header().
  static Result<LedgerTail> open(const std::filesystem::path& ledger_path);

  const FileFacts& facts() const { return facts_; }
  // The events that are new since the last call. Errors: those of the disk; the next call tries again.
  Result<std::vector<StoredEvent>> more();

 private:
  LedgerTail(PosixFile file, FileFacts facts) : file_(std::move(file)), facts_(std::move(facts)) {}
  PosixFile file_;
  FileFacts facts_;
  std::uint64_t read_ = 0;  // bytes that are whole records
};

}  // namespace peaknet::writer
