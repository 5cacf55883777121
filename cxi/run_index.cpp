#include "cxi/run_index.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

#include "cxi/posix_file.hpp"
#include "cxi/run_master.hpp"
#include "cxi/run_sums.hpp"

namespace peaknet::writer {
namespace {

constexpr std::string_view kNewSuffix = ".new";  // of a list that is being made

// The lock of the folder, waited for: whoever has it makes an index, which takes a moment.
Result<PosixFile> lock_folder(const std::filesystem::path& folder) {
  auto opened = PosixFile::open(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return opened;
  while (::flock(opened->fd(), LOCK_EX) != 0) {
    if (errno != EINTR) return disk_error("lock", folder, errno);
  }
  return opened;
}

}  // namespace

std::map<std::string, RunIndex::Found> RunIndex::found() const {
  std::map<std::string, Found> by_stem;
  std::error_code failed;  // a folder that cannot be listed has no finished files that could be shown
  for (std::filesystem::directory_iterator entry(folder_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    const auto ours = parse_file_name(name);
    if (ours && ours->stem.starts_with(prefix_)) by_stem[ours->stem].files.insert(name);
    const auto sums = stem_of_sums(name);
    if (sums && sums->starts_with(prefix_)) by_stem[*sums].sums.push_back(entry->path());
  }
  return by_stem;
}

Status RunIndex::files_finished(std::span<const std::filesystem::path> paths, Clock::time_point now) {
  for (const auto& path : paths) {
    const std::string name = path.filename().string();
    const auto ours = parse_file_name(name);
    if (!ours) continue;
    unlisted_[ours->stem].insert(name);
    Run& run = runs_[ours->stem];
    if (!run.master_due) run.master_due = std::max(now + kMasterEvery, run.not_before);
  }
  if (unlisted_.empty()) return {};
  const auto locked = lock_folder(folder_);
  if (!locked) return locked.error();
  while (!unlisted_.empty()) {
    const auto& [stem, names] = *unlisted_.begin();
    if (auto made = add_to_list(stem, names); !made) return made;
    unlisted_.erase(unlisted_.begin());
  }
  return {};
}

std::optional<RunIndex::Clock::time_point> RunIndex::next_due() const {
  std::optional<Clock::time_point> due;
  if (!unlisted_.empty()) due = Clock::time_point();
  for (const auto& [stem, run] : runs_) {
    if (run.master_due && (!due || *run.master_due < *due)) due = run.master_due;
  }
  return due;
}

Status RunIndex::make_due_masters(Clock::time_point now) {
  for (auto& [stem, run] : runs_) {
    if (!run.master_due || *run.master_due > now) continue;
    const auto locked = lock_folder(folder_);
    if (!locked) return locked.error();
    const auto begun = Clock::now();
    if (auto made = make_live_master(stem); !made) return made;
    const auto taken = Clock::now() - begun;
    run.master_due.reset();
    run.not_before = now + taken + kRest * taken;
  }
  return {};
}

// Of the files of the list that are there: no look at the folder.
Status RunIndex::make_live_master(const std::string& stem) const {
  const auto listed = read_list(stem);
  FilesInTime names = listed ? *listed : found()[stem].files;
  std::erase_if(names, [&](const std::string& name) {
    std::error_code unknown;  // then it is opened, which tells
    return !std::filesystem::exists(folder_ / name, unknown) && !unknown;
  });
  if (!listed || names.size() != listed->size()) {
    if (auto made = make_list(stem, names); !made) return made;
  }
  return RunMaster(folder_, stem).make(names);
}

Status RunIndex::make_masters() {
  while (!runs_.empty()) {
    const std::string stem = runs_.begin()->first;
    const auto locked = lock_folder(folder_);
    if (!locked) return locked.error();
    if (auto made = make_right(stem, found()[stem]); !made) return made;
    runs_.erase(stem);
  }
  return {};
}

// The list and the master that do not name these are made again.
Status RunIndex::make_right(const std::string& stem, const Found& found) {
  const FilesInTime& names = found.files;
  if (read_list(stem) != names) {
    if (auto made = make_list(stem, names); !made) return made;
  }
  unlisted_.erase(stem);
  const RunMaster master(folder_, stem);
  return master.shows(names, found.sums) ? Status() : master.make(names, found.sums);
}

Status RunIndex::update_all() {
  const auto locked = lock_folder(folder_);
  if (!locked) return locked.error();
  for (const auto& [stem, all] : found()) {
    if (auto made = make_right(stem, all); !made) return made;
    runs_.erase(stem);
  }
  return {};
}

Status RunIndex::replace(const std::filesystem::path& path, const std::string& text) const {
  const std::filesystem::path beginning = path.string() + std::string(kNewSuffix);
  const auto write = [&]() -> Status {
    auto file = PosixFile::open(beginning, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file) return file.error();
    if (auto written = file->write_at(0, std::as_bytes(std::span(text))); !written) return written;
    return file->sync();
  };
  if (auto written = write(); !written) {
    (void)remove_name(beginning);  // else the next one writes over it
    return written;
  }
  // Its bytes are durable, its name need not be: after a power cut the one before is there, or the next makes it.
  return replace_name(beginning, path);
}

std::string RunIndex::lines(const FilesInTime& names) const {
  const std::string folder = (folder_ / "").string();
  std::string text;
  for (const auto& name : names) text += folder + name + '\n';
  return text;
}

Status RunIndex::make_list(const std::string& stem, const FilesInTime& names) const {
  const auto list = folder_ / (stem + ".lst");
  return names.empty() ? remove_name(list) : replace(list, lines(names));
}

// Nothing where there is none, or one that is not ours or cut.
std::optional<FilesInTime> RunIndex::read_list(const std::string& stem) const {
  std::ifstream list(folder_ / (stem + ".lst"));
  if (!list.is_open()) return std::nullopt;
  const std::string folder = (folder_ / "").string();
  FilesInTime names;
  for (std::string line; std::getline(list, line);) {
    if (!line.starts_with(folder) || list.eof()) return std::nullopt;  // another's, or without its end
    names.insert(names.end(), line.substr(folder.size()));
  }
  return names;
}

// Whoever finishes a file adds it, under the lock, so the list that is there has all the others: no look at the folder,
// in which there may be those of many days.
Status RunIndex::add_to_list(const std::string& stem, const FilesInTime& added) const {
  auto names = read_list(stem);
  if (!names || names->empty()) return make_list(stem, found()[stem].files);
  names->insert(added.begin(), added.end());
  return make_list(stem, *names);
}

}  // namespace peaknet::writer
