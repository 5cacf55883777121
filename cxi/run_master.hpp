// RunMaster: the master of one run, made from its finished files, and from the master before as far as that shows them:
// a run of a thousand files has a new one every few seconds, and of those files only the new ones are opened.
//
//   columns, names of events, mask   copied (master_columns.hpp): they are right wherever the master is
//   images, masks of the network     shown from the files (virtual datasets), which must lie beside it
//   /entry_1/peaknet/sums            virtual powder, sum and maximum of the hits, once the run is over (run_sums.hpp)
//   /entry                           the NXmx tree, where all files have the same (nexus_master.hpp)
//   /entry_1/peaknet/files           name, events: what it shows, in order; gone: files that a master before showed and
//                                    that are in the folder no more
//
// Invariant: it appears under its name only when it is whole. It shows finished files alone, and each event that it
// shows has its own columns.
//
// The caller has the lock of the folder. While one is made it takes some 25 KiB of memory for each file of its run, and
// gives them back. Errors: those of the disk and output.hdf5; the master before is still there. After a crash: that one
// too; what had begun is removed by the next.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "cxi/file_name.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/run_sums.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::writer {

inline constexpr std::string_view kMasterSuffix = "_master.cxi";
// What a master shows, in its order.
inline constexpr const char* kShownNames = "/entry_1/peaknet/files/name";
inline constexpr const char* kShownEvents = "/entry_1/peaknet/files/events";

class RunMaster {
 public:
  RunMaster(std::filesystem::path folder, const std::string& stem)
      : folder_(std::move(folder)), path_(folder_ / (stem + std::string(kMasterSuffix))) {}

  const std::filesystem::path& path() const { return path_; }
  using Paths = std::vector<std::filesystem::path>;
  // Does it show exactly these, and has as many hits in its sums as these files of sums?
  bool shows(const FilesInTime& names, const Paths& sums = {}) const;
  // Nothing is there afterwards where no file has images, or where their shapes or types differ.
  Status make(const FilesInTime& names, const Paths& sums = {}) const;

 private:
  struct Shown {
    std::string name;
    std::uint64_t events;
  };
  // Some rows of a file of the run, or of the master before.
  struct Part {
    std::string file;
    std::uint64_t first = 0, rows = 0;
    std::map<std::string, std::vector<hsize_t>> columns = {};  // dimensions, of those rows
    bool identified = false;                                   // a text for each event
  };
  struct Contents {
    std::vector<Shown> shown;
    std::vector<Part> parts;  // all rows, in order
    std::vector<std::string> gone;
    std::vector<std::string> names;                          // of all columns: ours, and those of feed.columns ...
    std::vector<std::pair<std::string, std::string>> given;  // ... with their names, as the first part has them
    std::map<std::string, H5Handle> types;                   // of the first part's columns
    void take_names(hid_t file);
    // Rows of peaks are filled up with zeros to the longest; those of given columns must be alike.
    bool all_have(const std::string& column) const;
  };
  struct Before {
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> rows;  // by name: first and number
    std::vector<std::string> names;                                       // of what it showed or said to be gone
    std::uint64_t hits_beside = 0;                                        // in files of sums when it was made
  };
  std::optional<Before> before() const;
  Result<std::optional<Contents>> look_at_all(const FilesInTime& names, const std::optional<Before>& before) const;
  Result<bool> look_at(Contents& contents, Part& part) const;
  Status make(const FilesInTime& names, const std::optional<Before>& before, const Paths& sums) const;
  Status write(const std::filesystem::path& path, const Contents& contents, const Paths& sums) const;
  // What all files say of their run is in `run` then.
  Status copy_columns(hid_t master, const std::filesystem::path& path, const Contents& contents,
                      shm::RunFacts& run) const;
  Status describe_columns(hid_t master, const std::filesystem::path& path, const Contents& contents) const;
  void write_names(H5Writer& out, const Contents& contents) const;
  static void write_sums(H5Writer& out, const Paths& sums);

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

}  // namespace peaknet::writer
