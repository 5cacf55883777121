// IndexThread: keeps the lists and masters of a folder (cxi/run_index.hpp) in a thread of its own, so that no frame
// waits for them: a master takes milliseconds for each file of its run, and a list is written whole each time.
//
// It begins with a look at the whole folder. Files that are finished within a second share a list, and those of some
// seconds a master, so what they cost stays small however many files a run has. Lists and masters can be made again at
// any time, so a disk that refuses them holds nobody up: the log says it, once until they succeed again, and it is
// tried again with the next file, and after ten seconds, twenty, and so on.
//
// Its functions may be called by any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cxi/run_index.hpp"

namespace peaknet::writer {

class IndexThread {
 public:
  IndexThread(std::filesystem::path folder, const std::string& prefix);
  // Ends the thread as soon as what it is making is made. What make_all() was not called for is left to the next start.
  ~IndexThread() = default;
  IndexThread(const IndexThread&) = delete;
  IndexThread& operator=(const IndexThread&) = delete;

  // Schedules `path` for the run's list and master file. Does not block.
  void file_finished(const std::filesystem::path& path);
  // Waits until every file that was finished is in the list and the master of its run, or the log says why not.
  void make_all();

 private:
  void work(const std::stop_token& stop);
  void wait_for_work(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);
  void say(const Status& made);

  RunIndex index_;                          // the thread's, with the four below
  RunIndex::Clock::time_point lists_at_{};  // when the next lists are made
  RunIndex::Clock::time_point retry_at_{};  // after a failure
  std::chrono::seconds retry_after_{};      // 0: there was none
  std::set<std::string> said_;

  std::mutex mutex_;  // of all below
  std::condition_variable_any wake_;
  std::condition_variable made_;
  std::vector<std::filesystem::path> finished_;
  std::uint64_t all_asked_ = 0, all_made_ = 0;  // calls of make_all()
  std::jthread thread_;                         // last: ended before what it uses
};

}  // namespace peaknet::writer
