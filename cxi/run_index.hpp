// RunIndex: what lies beside the finished files of a run for those who want all of them at once:
//
//   {prefix}_run{run}.lst          their absolute paths, one a line, in order of time: CrystFEL's -i takes it
//   {prefix}_run{run}_master.cxi   one file of all their events (run_master.hpp), which must stay in their folder
//
// Invariant: both name finished files only, and appear under their names only when they are whole. A file is in its
// list when files_finished() returns, and in its master kMasterEvery later, or when the master before has been left
// alone for kRest times what it took: a run of thousands of files has no more of a processor than that leaves. Both can
// be made again from the files at any time, so nothing depends on them; whoever makes one has a lock of the folder, so
// that several writers do not undo each other's work. A kill at any moment leaves the last one whole. A file that a
// kill kept out of its list, or that somebody took away, is set right at the end of its run and at a writer's start, by
// a look at the folder.
//
// Files of one run whose images differ in shape or type have a list and no master. Used by one thread at a time.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cxi/file_name.hpp"

namespace peaknet::writer {

class RunIndex {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kMasterEvery{2};
  static constexpr int kRest = 4;

  RunIndex(std::filesystem::path folder, const std::string& prefix)
      : folder_(std::move(folder)), prefix_(prefix + "_run") {}

  // Files were finished: their runs have new lists, at once, and will need new masters. What could not be listed is
  // with the next call. What this costs grows with the list, not with the folder.
  Status files_finished(std::span<const std::filesystem::path> paths, Clock::time_point now);
  // The masters that are due, of what the lists name and is there.
  Status make_due_masters(Clock::time_point now);
  // Lists and masters of all runs that had files since, as at a run's end: they name then what is in the folder.
  Status make_masters();
  // When there is something to do although no file was finished: a master is due, or a list could not be made.
  std::optional<Clock::time_point> next_due() const;
  // Look at the whole folder: lists and masters that do not name what is there are made again. For the start, after
  // files were recovered.
  Status update_all();

 private:
  struct Run {
    std::optional<Clock::time_point> master_due;  // where it has files that its master does not show
    Clock::time_point not_before{};               // that
  };
  struct Found {
    FilesInTime files;                        // finished ones
    std::vector<std::filesystem::path> sums;  // run_sums.hpp
  };
  std::map<std::string, Found> found() const;         // by stem
  std::string lines(const FilesInTime& names) const;  // of a list
  std::optional<FilesInTime> read_list(const std::string& stem) const;
  Status make_list(const std::string& stem, const FilesInTime& names) const;
  Status add_to_list(const std::string& stem, const FilesInTime& added) const;
  Status make_live_master(const std::string& stem) const;
  Status make_right(const std::string& stem, const Found& found);
  Status replace(const std::filesystem::path& path, const std::string& text) const;

  std::filesystem::path folder_;
  std::string prefix_;
  std::map<std::string, Run> runs_;              // by stem: those that had files since all masters were made
  std::map<std::string, FilesInTime> unlisted_;  // by stem, files that no list has yet
};

}  // namespace peaknet::writer
