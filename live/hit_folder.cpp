#include "live/hit_folder.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/log_line.hpp"
#include "config/run_name.hpp"

namespace peaknet::live {
namespace {

constexpr std::string_view kBookSuffix = ".served";

writer::FileName parsed(const std::string& name) { return writer::parse_file_name(name).value_or(writer::FileName{}); }

std::string describe(const HitKey& key) {
  return "producer " + std::to_string(key.producer) + " frame " + std::to_string(key.producer_seq);
}

}  // namespace

Result<std::unique_ptr<HitFolder>> HitFolder::open(const Options& options) {
  auto watch = FolderWatch::open(options.folder);
  if (!watch) return watch.error();
  std::unique_ptr<HitFolder> folder(new HitFolder(options, std::move(*watch)));
  if (auto looked = folder->look(true); !looked) return looked.error();
  return folder;
}

// Of files and ledgers, of this prefix.
Result<std::set<HitFolder::Place>> HitFolder::names() const {
  std::set<Place> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(options_.folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::string name = entry->path().filename().string();
    if (name.ends_with(writer::kLedgerSuffix)) name.resize(name.size() - writer::kLedgerSuffix.size());
    const auto file = writer::parse_file_name(name);
    if (file && file->stem.starts_with(options_.prefix + "_run"))
      found.insert({file->time, file->writer, file->chunk, name});
  }
  if (failed) return writer::disk_error("list", options_.folder, failed.value());
  return found;
}

std::filesystem::path HitFolder::book_of(const std::string& stem) const {
  return options_.books / (stem + "." + options_.name + std::string(kBookSuffix));
}

Status HitFolder::open_book(const std::string& stem, Run& run) {
  auto book = ServedBook::open(book_of(stem));
  if (!book) return book.error();
  run.book = std::make_unique<ServedBook>(std::move(*book));
  counts_.served_before += run.book->size();
  if (run.book->damaged_bytes() > 0) {
    log::warn("{}: {} bytes are damaged; hits that stood there may be served twice", book_of(stem).string(),
              run.book->damaged_bytes());
  }
  if (const auto& hit = run.book->uncertain()) {
    ++counts_.uncertain;
    log::warn(
        "{} of {} was being handed to a worker when peaknet-live was killed; it may have it, and it is not "
        "served again",
        describe(*hit), stem);
  }
  return {};
}

Status HitFolder::choose_runs(const std::set<Place>& all) {
  chosen_ = true;
  const config::StemsOfRun wanted(options_.prefix, options_.run_name, options_.run);
  const std::string newest = all.empty() ? "" : parsed(all.rbegin()->name).stem;
  for (const Place& place : all) {
    const std::string stem = parsed(place.name).stem;
    if (runs_.contains(stem)) continue;
    Run& run = runs_[stem];
    std::error_code unknown;
    const bool begun = std::filesystem::exists(book_of(stem), unknown);
    const bool ours = options_.run.empty() ? stem == newest || begun : wanted.has(stem);
    if (!ours) continue;
    if (auto opened = open_book(stem, run); !opened) return opened;
    if (options_.run.empty() && stem != newest && run.book->complete()) run.book.reset();
  }
  return {};
}

Result<HitFolder::Run*> HitFolder::run_of(const std::string& stem) {
  const auto found = runs_.find(stem);
  if (found != runs_.end()) return &found->second;
  const bool ours =
      options_.run.empty() || config::StemsOfRun(options_.prefix, options_.run_name, options_.run).has(stem);
  Run run;
  if (ours) {
    if (auto opened = open_book(stem, run); !opened) return opened.error();
  }
  return &(runs_[stem] = std::move(run));
}

Status HitFolder::look(bool names_too) {
  if (names_too) {
    const auto all = names();
    if (!all) return all.error();
    if (!chosen_) {
      if (auto chosen = choose_runs(*all); !chosen) return chosen;
    }
    for (const Place& place : *all) {
      const auto run = run_of(parsed(place.name).stem);
      if (!run) return run.error();
      if ((*run)->book && !(*run)->known.contains(place.name)) add(place, **run);
    }
  }
  for (const auto& [place, file] : files_) {
    if (!file->growing()) continue;
    if (const auto read = file->read_more(); !read) log::warn("{}", read.error().text());
  }
  settle();
  return {};
}

void HitFolder::add(const Place& place, Run& run) {
  auto file = HitFile::open(options_.folder / place.name, *run.book);
  if (!file) {
    if (told_.insert(place.name).second)
      log::warn("{} cannot be read, and is tried again: {}", place.name, file.error().text());
    return;
  }
  run.known.insert(place.name);
  if ((*file)->growing()) watch_.follow(writer::ledger_of(options_.folder / place.name));
  files_.emplace(place, std::move(*file));
}

// Files of which nothing will come are let go; those that wait for their turn keep no memory.
void HitFolder::settle() {
  std::erase_if(files_, [](const auto& entry) { return entry.second->exhausted(); });
  if (options_.order == Order::newest) trim();
  const auto waits = [](const auto& entry) { return entry.second->waiting() > 0; };
  const HitFile* next = nullptr;
  if (options_.order == Order::all) {
    const auto first = std::find_if(files_.begin(), files_.end(), waits);
    if (first != files_.end()) next = first->second.get();
  } else {
    const auto last = std::find_if(files_.rbegin(), files_.rend(), waits);
    if (last != files_.rend()) next = last->second.get();
  }
  for (const auto& [place, file] : files_) {
    if (file.get() != next) file->unload();
  }
  close_runs();
}

void HitFolder::trim() {
  std::uint64_t waiting = counts().waiting;
  while (waiting > options_.keep) {
    const auto oldest =
        std::find_if(files_.begin(), files_.end(), [](const auto& e) { return e.second->waiting() > 0; });
    const auto hit = oldest->second->take(false);
    if (!hit || !*hit) return;  // cannot be read just now
    oldest->second->pass(**hit);
    ++counts_.skipped;
    --waiting;
  }
}

// A run is over when another has begun after it and nothing of it waits.
void HitFolder::close_runs() {
  if (!options_.run.empty() || options_.order != Order::all || files_.empty()) return;
  const std::string newest = parsed(files_.rbegin()->first.name).stem;
  for (auto& [stem, run] : runs_) {
    if (!run.book || run.known.empty() || stem == newest || run.book->complete()) continue;
    const bool waits = std::any_of(files_.begin(), files_.end(), [book = run.book.get()](const auto& entry) {
      return &entry.second->book() == book;
    });
    if (waits) continue;
    if (const auto closed = run.book->close_run(); !closed) log::warn("{}", closed.error().text());
  }
}

std::optional<Hit> HitFolder::take() {
  for (;;) {
    auto hit = take_any();
    if (!hit) return hit;
    const HitKey key = hit->key();
    if (!hit->file->book().has(key) && out_.insert(key).second) return hit;
    hit->file->pass(*hit);
  }
}

void HitFolder::give_back(const Hit& hit) {
  out_.erase(hit.key());
  hit.file->give_back(hit);
}

std::optional<Hit> HitFolder::take_any() {
  const auto from = [&](const std::shared_ptr<HitFile>& file) -> std::optional<Hit> {
    auto hit = file->take(options_.order == Order::newest);
    if (hit) return std::move(*hit);
    cannot_read(*file, hit.error());
    return std::nullopt;
  };
  if (options_.order == Order::newest) {
    for (auto entry = files_.rbegin(); entry != files_.rend(); ++entry) {
      if (auto hit = from(entry->second)) return hit;
    }
    return std::nullopt;
  }
  for (const auto& [place, file] : files_) {
    if (auto hit = from(file)) return hit;
  }
  return std::nullopt;
}

// One that was moved away does not come again; others are tried again.
void HitFolder::cannot_read(HitFile& file, const Error& why) {
  log::warn("{} hits wait in {}, which cannot be read: {}", file.waiting(), file.path().string(), why.text());
  std::error_code unknown;
  if (!std::filesystem::exists(file.path(), unknown) && !unknown) counts_.unreadable += file.give_up();
}

void HitFolder::pass(const Hit& hit, const Error& why) {
  log::error("{} is not served: {}", describe(hit.key()), why.text());
  ++counts_.unreadable;
  out_.erase(hit.key());
  hit.file->pass(hit);
}

void HitFolder::end(const Hit& hit, bool sent) {
  if (const auto noted = hit.file->book().end(hit.key(), sent); !noted) log::error("{}", noted.error().text());
  if (!sent) return;
  ++counts_.served;
  out_.erase(hit.key());
  hit.file->done(hit);
}

HitFolder::Counts HitFolder::counts() const {
  Counts counts = counts_;
  for (const auto& [place, file] : files_) counts.waiting += file->waiting();
  return counts;
}

std::optional<std::uint64_t> HitFolder::served_of(const std::string& run) const {
  const config::StemsOfRun wanted(options_.prefix, options_.run_name, run);
  std::optional<std::uint64_t> served;
  for (const auto& [stem, known] : runs_) {
    if (wanted.has(stem) && known.book) served = served.value_or(0) + known.book->size();
  }
  return served;
}

bool HitFolder::growing() const {
  return std::any_of(files_.begin(), files_.end(), [](const auto& entry) { return entry.second->growing(); });
}

std::shared_ptr<const HitFile> HitFolder::newest() const {
  const auto found =
      std::find_if(files_.rbegin(), files_.rend(), [](const auto& entry) { return entry.second->knows_mask(); });
  return found == files_.rend() ? nullptr : found->second;
}

}  // namespace peaknet::live
