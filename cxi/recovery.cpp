#include "cxi/recovery.hpp"

#include <fcntl.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "cxi/checksum.hpp"
#include "cxi/file.hpp"
#include "cxi/run_sums.hpp"

namespace peaknet::writer {
namespace {

constexpr std::string_view kRecoveringSuffix = ".recovering";
constexpr std::string_view kDamagedSuffix = ".damaged";
constexpr std::chrono::seconds kStaleAfter{60};

std::filesystem::path with(const std::filesystem::path& path, std::string_view suffix) {
  return path.string() + std::string(suffix);
}

bool there(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::exists(path, unknown);
}

struct EventBytes {
  std::vector<std::byte> image, segmentation;
};

// The bytes of the event's image and mask as stored, if they are there and what the ledger says.
bool read_stored(const PosixFile& part, std::uint64_t part_bytes, const FileFacts& facts, const StoredEvent& stored,
                 EventBytes& bytes) {
  const auto read = [&](const std::optional<StoredChunk>& chunk, bool wanted, std::uint64_t plain_bytes,
                        std::vector<std::byte>& to) {
    to.clear();
    if (!chunk) return !wanted;
    if (!wanted || chunk->size > part_bytes || chunk->address > part_bytes - chunk->size) return false;
    if (facts.filter == Filter::none && chunk->size != plain_bytes) return false;
    to.resize(chunk->size);
    return part.read_at(chunk->address, to).ok() && checksum(to) == chunk->checksum;
  };
  return read(stored.image, facts.with_images, facts.image_bytes(), bytes.image) &&
         read(stored.segmentation, facts.with_segmentation, facts.segmentation_bytes(), bytes.segmentation);
}

struct Sorted {
  std::vector<StoredEvent> good;
  std::vector<EventKey> lost;
};

Result<Sorted> verify(LedgerContents& contents, const PosixFile& part) {
  const auto part_bytes = part.size();
  if (!part_bytes) return part_bytes.error();
  Sorted sorted;
  EventBytes bytes;
  for (auto& stored : contents.events) {
    if (read_stored(part, *part_bytes, contents.facts, stored, bytes)) {
      sorted.good.push_back(std::move(stored));
    } else {
      sorted.lost.push_back(stored.event.key);
    }
  }
  return sorted;
}

Error set_aside_error(const std::filesystem::path& final_path, const std::string& how, const std::string& untouched) {
  return {"recovery.damaged", "the unfinished file " + final_path.string() + " is damaged: " + how, untouched,
          "look at its .damaged pieces; see whether the disk is well"};
}

std::string lost_text(const Sorted& sorted) {
  std::string text = std::to_string(sorted.lost.size()) + " durable events cannot be read again";
  for (std::size_t i = 0; i < std::min<std::size_t>(3, sorted.lost.size()); ++i)
    text += (i == 0 ? " (" : ", ") + describe(sorted.lost[i]);
  return sorted.lost.empty() ? text : text + (sorted.lost.size() > 3 ? ", ...)" : ")");
}

}  // namespace

Recovery::Findings Recovery::look() {
  Findings findings;
  std::vector<std::filesystem::path> ledgers;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(folder_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(kLedgerSuffix)) ledgers.push_back(entry->path());
    if (name.ends_with(std::string(kLedgerSuffix) + ".new") || name.ends_with(kSumsNewSuffix))
      remove_stale_beginnings(entry->path());
  }
  if (failed) {
    findings.unreadable = true;
    findings.problems.push_back(disk_error("list", folder_, failed.value()));
    return findings;
  }
  std::sort(ledgers.begin(), ledgers.end());
  for (const auto& path : ledgers) examine(path, findings);
  // What others have removed is done.
  std::erase_if(orphans_,
                [&](const auto& entry) { return !std::binary_search(ledgers.begin(), ledgers.end(), entry.first); });
  return findings;
}

void Recovery::examine(const std::filesystem::path& ledger_path, Findings& findings) {
  if (const auto known = orphans_.find(ledger_path); known != orphans_.end() && known->second.finished) return;
  auto file = PosixFile::open(ledger_path, O_RDWR);
  if (!file) {
    if (!there(ledger_path)) return;  // its writer has just finished
    findings.unreadable = true;
    findings.problems.push_back(file.error());
    return;
  }
  const auto header = read_ledger_header(*file);
  if (header && header->instance != instance_) return;
  const auto locked = file->try_lock();
  if (locked && !*locked) {
    if (header) findings.held.push_back({header->instance_uuid, header->writer});
    return;
  }
  if (!locked || (!header && header.error().id != "ledger.no-header")) {
    findings.unreadable = true;
    findings.problems.push_back(locked ? header.error() : locked.error());
    return;
  }
  // Another recovery may have removed it before we had the lock.
  if (file->is_named(ledger_path)) recover(*file, final_of(ledger_path), findings);
}

void Recovery::recover(const PosixFile& ledger, const std::filesystem::path& final_path, Findings& findings) {
  const auto part_path = part_of(final_path);
  const auto damaged_part = with(part_path, kDamagedSuffix);
  const auto note = [&](const Status& status) {
    if (!status) findings.problems.push_back(status.error());
    return status.ok();
  };
  auto contents = read_ledger(ledger);
  if (!contents && contents.error().id != "ledger.no-header") {
    findings.unreadable = true;
    findings.problems.push_back(contents.error());
    return;
  }
  if (!contents) {
    // The header is durable before the .part is made, so without a .part nothing was ever written.
    if (!there(part_path)) {
      note(remove_name(ledger.path()));
      return;
    }
    findings.problems.push_back(
        set_aside_error(final_path, "its ledger has no readable header", "nothing was deleted"));
    note(publish_name(part_path, damaged_part));
    note(publish_name(ledger.path(), with(ledger.path(), kDamagedSuffix)));
    return;
  }

  Orphan orphan{contents->facts.instance_uuid, {}, false};
  const auto remember = [&](const std::vector<StoredEvent>& events) {
    for (const auto& stored : events) orphan.keys.insert(stored.event.key);
    orphans_[ledger.path()] = orphan;
  };
  const bool damaged_before = there(damaged_part);
  auto part = PosixFile::open(damaged_before ? damaged_part : part_path, O_RDWR);
  if (!part && part.error().id != "output.folder-missing") {
    findings.unreadable = true;
    findings.problems.push_back(part.error());
    return;
  }
  if (!part) {
    // No .part: it was given its final name. (A ledger without any record and without a .part never had one.)
    if (contents->events.empty()) {
      note(remove_name(ledger.path()));
      return;
    }
    orphan.finished = note(sync_folder(folder_));  // its writer may have died before it did this
    remember(contents->events);
    return;
  }
  if (there(final_path) && !damaged_before) {
    orphan.finished = note(sync_folder(folder_)) && note(remove_name(part_path)) &&
                      note(remove_name(with(final_path, kRecoveringSuffix)));
    remember(contents->events);
    return;
  }
  if (const auto size = part->size()) (void)part->resize(*size);  // give back what its writer had reserved; a wish
  const std::uint64_t damaged_bytes = contents->damaged_bytes;
  auto sorted = verify(*contents, *part);
  if (!sorted) {
    findings.unreadable = true;
    findings.problems.push_back(sorted.error());
    return;
  }
  if (sorted->good.empty() && sorted->lost.empty() && damaged_bytes == 0) {
    // No event ever became durable in it: it never held anything that is not in a slot still.
    if (note(remove_name(with(final_path, kRecoveringSuffix))) && note(remove_name(part_path)))
      note(remove_name(ledger.path()));
    return;
  }
  remember(sorted->good);
  if (there(final_path)) {  // beside a .part.damaged
    orphans_[ledger.path()].finished = true;
    return;
  }
  const std::uint64_t lost = sorted->lost.size() + (damaged_bytes > 0 ? 1 : 0);
  if (lost > 0 && !damaged_before) {
    // Before the finished file appears: its presence beside a .part would say that all of the .part is in it.
    std::string how = lost_text(*sorted);
    if (damaged_bytes > 0) how += "; " + std::to_string(damaged_bytes) + " bytes of its ledger are unreadable";
    findings.problems.push_back(
        set_aside_error(final_path, how, std::to_string(sorted->good.size()) + " events are recovered"));
    findings.unfinished = !note(publish_name(part_path, damaged_part));
    if (findings.unfinished) return;
  }
  if (!sorted->good.empty() && !note(rebuild(*contents, sorted->good, lost, *part, final_path, findings))) {
    findings.unfinished = true;
    return;
  }
  orphans_[ledger.path()].finished = lost > 0 || note(remove_name(part_path));
}

Status Recovery::rebuild(const LedgerContents& contents, const std::vector<StoredEvent>& events, std::uint64_t lost,
                         const PosixFile& part, const std::filesystem::path& final_path, Findings& findings) {
  const auto temporary = with(final_path, kRecoveringSuffix);
  if (auto removed = remove_name(temporary); !removed) return removed;
  auto file = CxiFile::create(temporary, contents.facts);
  if (!file) return file.error();
  const auto fill = [&]() -> Result<std::uint64_t> {
    EventBytes bytes;
    const auto part_bytes = part.size();
    if (!part_bytes) return part_bytes.error();
    for (const auto& stored : events) {
      if (!read_stored(part, *part_bytes, contents.facts, stored, bytes)) {
        return Error{"recovery.changed", part.path().string() + " changed while it was read", "",
                     "who else writes into this folder?"};
      }
      const std::size_t stored_bytes = bytes.image.size() + bytes.segmentation.size();
      if (auto room = file->make_room(stored_bytes, stored.event.peaks.size()); !room) return room.error();
      if (auto added = file->append(stored.event, bytes.image, bytes.segmentation); !added) return added.error();
    }
    Closing closing;
    closing.recovered = true;
    closing.events_lost = lost;
    return file->finish(closing);
  };
  auto bytes = fill();
  if (bytes) {
    auto published = publish_name(temporary, final_path);
    if (published) findings.finished.push_back({final_path, events.size(), *bytes});
    return published;
  }
  file->abandon();
  (void)remove_name(temporary);  // the next recovery begins anew in any case
  return bytes.error();
}

bool Recovery::known(std::uint64_t instance_uuid, const EventKey& key) const {
  return std::any_of(orphans_.begin(), orphans_.end(), [&](const auto& entry) {
    return entry.second.instance_uuid == instance_uuid && entry.second.keys.contains(key);
  });
}

bool Recovery::durable(std::uint64_t instance_uuid, const EventKey& key) const {
  return std::any_of(orphans_.begin(), orphans_.end(), [&](const auto& entry) {
    return entry.second.finished && entry.second.instance_uuid == instance_uuid && entry.second.keys.contains(key);
  });
}

std::vector<Error> Recovery::forget(std::uint64_t instance_uuid, const std::set<EventKey>& in_flight) {
  std::vector<Error> problems;
  std::erase_if(orphans_, [&](const auto& entry) {
    const auto& [path, orphan] = entry;
    if (!orphan.finished) return false;
    const bool needed = orphan.instance_uuid == instance_uuid &&
                        std::any_of(orphan.keys.begin(), orphan.keys.end(),
                                    [&](const EventKey& key) { return in_flight.contains(key); });
    if (needed) return false;
    const auto file = PosixFile::open(path, O_RDWR);
    if (!file) return !there(path);
    const auto locked = file->try_lock();
    if (!locked || !*locked || !file->is_named(path)) return false;  // another writer looks at it just now; next time
    const bool damaged = there(with(part_of(final_of(path)), kDamagedSuffix));
    const Status gone = damaged ? publish_name(path, with(path, kDamagedSuffix)) : remove_name(path);
    if (!gone) problems.push_back(gone.error());
    return gone.ok();
  });
  return problems;
}

// The first instants of a ledger, or of sums, that were never given their name. Old ones belong to nobody.
void Recovery::remove_stale_beginnings(const std::filesystem::path& path) {
  std::error_code gone;
  const auto changed = std::filesystem::last_write_time(path, gone);
  if (gone || std::filesystem::file_time_type::clock::now() - changed < kStaleAfter) return;
  const auto file = PosixFile::open(path, O_RDWR);
  if (!file) return;
  if (const auto locked = file->try_lock(); locked && *locked)
    (void)remove_name(path);  // garbage that stays does no harm
}

}  // namespace peaknet::writer
