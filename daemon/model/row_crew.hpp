// RowCrew: threads that share the parts of a batch with the thread that runs it. A thread takes the next part when it
// is done with one, so a processor that other programs keep busy gets fewer parts and nobody waits for it but at the
// end; there all wait asleep.
//
// Threads: run() is called by one thread at a time, which does parts too; so a crew of 0 helpers works. The helpers are
// on the processors of the thread that made the crew. Errors: the constructor throws std::system_error where there are
// no more threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace peaknet::model {

class RowCrew {
 public:
  explicit RowCrew(unsigned helpers);
  RowCrew(const RowCrew&) = delete;
  RowCrew& operator=(const RowCrew&) = delete;
  ~RowCrew();

  // `work` once for each part from 0 on, in any order and at the same time; returns when all are done. It must not
  // throw.
  void run(std::size_t parts, const std::function<void(std::size_t part)>& work);

 private:
  void help();
  void end();
  // Parts as long as there are any.
  void take(std::unique_lock<std::mutex>& hold);

  std::mutex mutex_;  // all of this
  std::condition_variable offered_;
  std::condition_variable finished_;
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::size_t parts_ = 0;
  std::size_t next_ = 0;
  std::size_t done_ = 0;
  bool ending_ = false;
  std::vector<std::thread> helpers_;
};

}  // namespace peaknet::model
