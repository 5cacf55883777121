// RunIndex: what lies beside the finished files of a run for those who want all of them at once:
//
//   {prefix}_run{run}.lst          their absolute paths, one a line, in order of time: CrystFEL's -i takes it
//   {prefix}_run{run}_master.cxi   one file of all their events: columns and mask are its own, images are virtual
//                                  datasets; it has no image itself and must stay in their folder
//
// Invariant: both name finished files only, and appear under their names only when they are whole. Both can be made
// again from the files at any time, so nothing depends on them; whoever makes one has a lock of the folder, so that
// several writers do not undo each other's work. A kill at any moment leaves the last one whole. A file that a kill
// kept out of its list, or that somebody took away, is set right at the end of its run and at a writer's start, by a
// look at the folder.
//
// Files of one run whose images differ in shape or type have a list and no master. While a master is made it takes some
// 25 KiB of memory for each file of its run, and gives them back. Used by one thread at a time.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cxi/file_name.hpp"
#include "cxi/hdf5.hpp"

namespace peaknet::writer {

inline constexpr std::string_view kMasterSuffix = "_master.cxi";

class RunIndex {
 public:
  using Clock = std::chrono::steady_clock;
  // A run of which no file was finished for so long, while another run's were, is taken for ended: events of several
  // sources with a run each may come in turn, and a master takes longer with every file of its run.
  static constexpr std::chrono::seconds kRunQuiet{10};

  RunIndex(std::filesystem::path folder, const std::string& prefix)
      : folder_(std::move(folder)), prefix_(prefix + "_run") {}

  // Files were finished, in this order: their runs have new lists, at once, and will need new masters. What could not
  // be listed is with the next call. What this costs grows with the list, not with the folder.
  Status files_finished(std::span<const std::filesystem::path> paths, Clock::time_point now);
  // Make the masters of the runs that have ended, or of all; their lists name then what is in the folder. Milliseconds
  // for each file of such a run.
  Status make_due_masters(Clock::time_point now);
  Status make_masters();
  // When there is something to do although no file was finished: a master is due, or a list could not be made.
  std::optional<Clock::time_point> next_due() const;
  // Look at the whole folder: lists and masters that do not name what is there are made again. For the start, after
  // files were recovered.
  Status update_all();

 private:
  struct Source;                                        // what a master needs to know of a file
  struct Sources;                                       // and of all files of a run
  std::map<std::string, FilesInTime> finished() const;  // names of files by stem
  std::string lines(const FilesInTime& names) const;    // of a list
  Status make_list(const std::string& stem, const FilesInTime& names) const;
  Status add_to_list(const std::string& stem, const FilesInTime& added) const;
  template <class Which>
  Status make_masters(const Which& which);
  Status make_master(const std::string& stem, const FilesInTime& names);
  Result<std::optional<Sources>> look_at_all(const FilesInTime& names) const;
  Status copy_columns(hid_t master, const std::filesystem::path& path, const Sources& sources) const;
  Status write_master(const std::filesystem::path& path, const Sources& sources) const;
  Status replace(const std::filesystem::path& path, const std::string& text) const;

  std::filesystem::path folder_;
  std::string prefix_;
  std::string current_;                                   // the stem of the last file
  std::map<std::string, Clock::time_point> need_master_;  // by stem, when its last file was finished
  std::map<std::string, FilesInTime> unlisted_;           // by stem, files that no list has yet
};

}  // namespace peaknet::writer
