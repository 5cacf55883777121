// Recovery: what becomes of the files of a writer that died, or of a file that its writer had to give up.
//
// An orphan is a ledger of this instance that nobody holds locked (ledger.hpp). Its events are made into a finished
// file by copying the stored images, at the places that the ledger names, out of the old .part into a fresh HDF5 file;
// the broken HDF5 is never opened. Then the old .part goes. The orphan's events are remembered: a frame that comes
// again (its slot was not released before its writer died) must not be written twice. The ledger itself goes when no
// slot holds a frame of it any more.
//
// Everything may be killed at any moment and done again by whoever comes next, this writer or another; one at a time,
// under the ledger's lock. States of an orphan on the disk:
//   .ledger .part                     to be recovered (also with a .recovering beside it: a recovery that was cut
//   short) .ledger .part .cxi                recovered; the .part is still to be removed .ledger .cxi, .ledger finished
//   (and perhaps moved away since); only its events are still remembered .ledger .part.damaged             to be
//   recovered as far as possible: some of its events cannot be read again .ledger .part.damaged .cxi        so
//   recovered; the pieces are kept for people, and the ledger becomes .ledger.damaged
// Ledgers of other instances in the same folder are left to their own writers.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cxi/event.hpp"
#include "cxi/ledger.hpp"

namespace peaknet::writer {

class Recovery {
 public:
  Recovery(std::filesystem::path folder, std::string instance)
      : folder_(std::move(folder)), instance_(std::move(instance)) {}

  struct FinishedFile {
    std::filesystem::path path;
    std::size_t events;
    std::uint64_t bytes;
  };
  struct HeldLedger {
    std::uint64_t instance_uuid;
    std::uint64_t writer;
  };
  struct Findings {
    std::vector<FinishedFile> finished;  // made in this call
    std::vector<HeldLedger> held;  // ledgers that a living writer, one that is just dying, or another recovery holds
    std::vector<Error> problems;   // for the log
    bool unreadable = false;  // a ledger or the folder could not be read: whether an event is known cannot be said now
    bool unfinished = false;  // an orphan could not be finished yet; its events are known nevertheless
  };
  // Look for orphans in the folder and recover them.
  Findings look();

  // Is the event in an orphan of the instance's shared memory with that uuid?
  bool known(std::uint64_t instance_uuid, const EventKey& key) const;
  // And is it in a finished file that survives a power cut? What a dead writer's ledger says may be in the kernel alone
  // (or, after a failed fsync, never reach the disk); what was copied into a finished file is safe.
  bool durable(std::uint64_t instance_uuid, const EventKey& key) const;
  bool remembers_any() const { return !orphans_.empty(); }

  // Remove the ledgers of finished orphans that no slot needs any more: those with another uuid than that of the living
  // instance, and those of which `in_flight` names no event. Returns what could not be removed.
  std::vector<Error> forget(std::uint64_t instance_uuid, const std::set<EventKey>& in_flight);

 private:
  struct Orphan {
    std::uint64_t instance_uuid = 0;
    std::set<EventKey> keys;
    bool finished = false;
  };
  void examine(const std::filesystem::path& ledger_path, Findings& findings);
  void recover(const PosixFile& ledger, const std::filesystem::path& final_path, Findings& findings);
  Status rebuild(const LedgerContents& contents, const std::vector<StoredEvent>& events, std::uint64_t lost,
                 const PosixFile& part, const std::filesystem::path& final_path, Findings& findings);
  void remove_stale_beginnings(const std::filesystem::path& path);

  std::filesystem::path folder_;
  std::string instance_;
  std::map<std::filesystem::path, Orphan> orphans_;  // by ledger
};

}  // namespace peaknet::writer
