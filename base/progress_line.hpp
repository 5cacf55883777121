// ProgressLine: what a long command is at, in one line of stderr that is redrawn four times a second and is gone when
// the command has ended. Only where stderr is a terminal that can move its cursor; files and pipes get nothing.
//
// Threads: `text` is called in a thread of its own, and never after the destructor. Errors: none.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace peaknet {

class ProgressLine {
 public:
  // `text`: one line, cut to the width of the terminal; "": nothing to say now.
  explicit ProgressLine(std::function<std::string()> text);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  std::jthread thread_;
};

// "[#########-----------]  45 %": of a whole that is known and not 0.
std::string progress_bar(double done, double whole);

}  // namespace peaknet
