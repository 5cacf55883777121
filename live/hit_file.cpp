#include "live/hit_file.hpp"

#include <fcntl.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "cxi/stored_events.hpp"
#include "cxi/tables.hpp"

namespace peaknet::live {
namespace {

bool there(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::exists(path, unknown);
}

HitKey key_of(const writer::FileFacts& facts, const writer::StoredEvent& stored) {
  return {facts.instance_uuid, stored.event.key.producer, stored.event.key.producer_seq};
}

}  // namespace

HitKey Hit::key() const { return key_of(file->facts(), stored); }

Result<std::shared_ptr<HitFile>> HitFile::open(const std::filesystem::path& final_path, ServedBook& book) {
  std::shared_ptr<HitFile> file(new HitFile(final_path, book));
  if (!there(final_path)) {
    auto tail = writer::LedgerTail::open(writer::ledger_of(final_path));
    if (tail) {
      file->tail_ = std::move(*tail);
      file->facts_ = file->tail_->facts();
      file->by_ledger_ = file->loaded_ = true;
      if (auto read = file->read_more(); !read) return read.error();
      return file;
    }
    if (!there(final_path)) return tail.error();  // else it was finished just now
  }
  if (auto loaded = file->load(); !loaded) return loaded.error();
  file->unload();
  return file;
}

Result<bool> HitFile::read_more() {
  if (!tail_) return false;
  // Before the last look at the ledger: what is there when the file has its name is all.
  const bool ended = there(path_) || !there(writer::ledger_of(path_));
  find_part();
  auto events = tail_->more();
  if (!events) return events.error();
  facts_ = tail_->facts();
  const std::size_t before = waiting_;
  if (!first_ && !events->empty()) first_ = events->front();
  for (auto& stored : *events) add(rows_++, std::move(stored));
  if (ended) tail_.reset();
  return waiting_ > before;
}

// The file of the ledger's places: only under the name that it has while it grows. Under its final name there may be
// another one, made by a recovery.
bool HitFile::find_part() {
  if (part_.is_open()) return true;
  auto part = writer::PosixFile::open(writer::part_of(path_), O_RDONLY);
  if (part) part_ = std::move(*part);
  return part.ok();
}

void HitFile::add(std::uint64_t row, writer::StoredEvent stored) {
  const HitKey key = key_of(facts_, stored);
  if (book_.has(key) || passed_.contains(key)) return;
  hits_.push_back({row, std::move(stored)});
  ++waiting_;
}

Status HitFile::load() {
  if (loaded_) return {};
  auto contents = writer::read_stored_events(path_);
  if (!contents) return contents.error();
  auto finished = writer::PosixFile::open(path_, O_RDONLY);
  if (!finished) return finished.error();
  facts_ = std::move(contents->facts);
  finished_ = std::move(*finished);
  hits_.clear();
  waiting_ = 0;
  for (std::size_t row = 0; row < contents->events.size(); ++row) add(row, std::move(contents->events[row]));
  by_ledger_ = false;
  loaded_ = true;
  return {};
}

void HitFile::unload() {
  if (!loaded_ || growing() || taken_ > 0) return;
  if (by_ledger_ && !there(path_)) return;  // moved away: what is open is all that there is
  loaded_ = by_ledger_ = false;
  hits_ = {};
  part_.close();
  finished_.close();
}

Result<std::optional<Hit>> HitFile::take(bool newest) {
  if (waiting_ == 0) return std::optional<Hit>();
  if (auto loaded = load(); !loaded) return loaded.error();
  if (hits_.empty()) return std::optional<Hit>();
  Waiting& next = newest ? hits_.back() : hits_.front();
  Hit hit{shared_from_this(), next.row, std::move(next.stored)};
  if (newest) {
    hits_.pop_back();
  } else {
    hits_.pop_front();
  }
  --waiting_;
  ++taken_;
  return std::optional<Hit>(std::move(hit));
}

void HitFile::give_back(const Hit& hit) {
  const auto place = std::lower_bound(hits_.begin(), hits_.end(), hit.row,
                                      [](const Waiting& waiting, std::uint64_t row) { return waiting.row < row; });
  hits_.insert(place, Waiting{hit.row, hit.stored});
  --taken_;
  ++waiting_;
}

void HitFile::done([[maybe_unused]] const Hit& hit) { --taken_; }

void HitFile::pass(const Hit& hit) {
  passed_.insert(hit.key());
  --taken_;
}

std::size_t HitFile::give_up() {
  hits_.clear();
  return std::exchange(waiting_, 0);
}

Result<std::vector<std::byte>> HitFile::pixels(const Hit& hit, writer::StoredImages& images) {
  if (by_ledger_ && !find_part()) return pixels_of_finished(hit, images);
  return images.read(by_ledger_ ? part_ : finished_, facts_, hit.stored);
}

// It was finished before its .part was ever seen.
Result<std::vector<std::byte>> HitFile::pixels_of_finished(const Hit& hit, writer::StoredImages& images) {
  auto contents = writer::read_stored_events(path_);
  if (!contents) return contents.error();
  auto finished = writer::PosixFile::open(path_, O_RDONLY);
  if (!finished) return finished.error();
  for (const auto& stored : contents->events) {
    if (stored.event.key == hit.stored.event.key) return images.read(*finished, contents->facts, stored);
  }
  return Error{"image.absent", path_.string() + " has no " + describe(hit.stored.event.key), "",
               "peaknetctl audit says what became of it"};
}

Result<std::vector<std::uint16_t>> HitFile::mask() const {
  if (!by_ledger_) return writer::read_slab_mask(path_);
  return writer::slab_mask(facts_, {&*first_, 1});
}

}  // namespace peaknet::live
