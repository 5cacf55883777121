// HitFolder: all hits of an output folder that wait to be served, run by run and file by file, while writers add to it.
//
// Which runs: the one that was asked for; else the newest at the start, those whose hits were not all served before
// (their books say so, served_book.hpp), and all that begin later.
//
// Invariant: the folder of the files is only read. Books lie in a folder of their own choice.
//
// Memory: the hits of the files that grow and of the one that is served; of all others a number.
//
// Threads: one. Errors: live.book-*, and those of the disk. A file that cannot be read is told in the log, and tried
// again.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/result.hpp"
#include "cxi/file_name.hpp"
#include "live/folder_watch.hpp"
#include "live/hit_file.hpp"

namespace peaknet::live {

enum class Order { all, newest };

class HitFolder {
 public:
  struct Options {
    std::filesystem::path folder, books;
    std::string prefix, run_name;  // output.file_prefix, output.run_name
    std::string name;              // of this server: the books' names have it
    std::string run;               // "": see above
    Order order = Order::all;
    std::uint64_t keep = 1000;  // Order::newest: older ones than so many are skipped
  };
  struct Counts {
    std::uint64_t served = 0, served_before = 0, skipped = 0, uncertain = 0, unreadable = 0, waiting = 0;
  };

  static Result<std::unique_ptr<HitFolder>> open(const Options& options);

  const FolderWatch& watch() const { return watch_; }
  // Look for what is new. `names`: also for files; else in those that are known.
  Status look(bool names);

  // The next hit. What was taken is served, or given back.
  // A frame that stands in two files (its writer gave the first one up) is one hit.
  std::optional<Hit> take();
  void give_back(const Hit& hit);
  Result<std::vector<std::byte>> pixels(const Hit& hit) { return hit.file->pixels(hit, images_); }
  // It cannot be served at all.
  void pass(const Hit& hit, const Error& why);

  // Around the last byte of a reply (ServedBook).
  static Status begin(const Hit& hit) { return hit.file->book().begin(hit.key()); }
  void end(const Hit& hit, bool sent);

  Counts counts() const;
  // Hits of a run that were handed out, also before this start; nothing: its books are not open.
  std::optional<std::uint64_t> served_of(const std::string& run) const;
  bool growing() const;  // a file is being written
  // The newest file that knows its mask: what images look like.
  std::shared_ptr<const HitFile> newest() const;

 private:
  struct Place {  // in time
    std::string time;
    std::uint64_t writer = 0, chunk = 0;
    std::string name;
    auto operator<=>(const Place&) const = default;
  };
  struct Run {
    std::unique_ptr<ServedBook> book;  // null: its hits are not ours
    std::set<std::string> known;       // names of its files that were opened
  };
  HitFolder(Options options, FolderWatch watch) : options_(std::move(options)), watch_(std::move(watch)) {}
  Result<std::set<Place>> names() const;
  Status choose_runs(const std::set<Place>& all);
  Result<Run*> run_of(const std::string& stem);
  std::filesystem::path book_of(const std::string& stem) const;
  Status open_book(const std::string& stem, Run& run);
  void add(const Place& place, Run& run);
  void settle();
  std::optional<Hit> take_any();
  void cannot_read(HitFile& file, const Error& why);
  void trim();
  void close_runs();

  Options options_;
  FolderWatch watch_;
  std::map<std::string, Run> runs_;  // by stem of their files
  bool chosen_ = false;
  std::map<Place, std::shared_ptr<HitFile>> files_;
  writer::StoredImages images_;
  Counts counts_;
  std::set<std::string> told_;  // names of files that could not be read, in the log
  std::set<HitKey> out_;        // taken, and neither served nor given back
};

}  // namespace peaknet::live
