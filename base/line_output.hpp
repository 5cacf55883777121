// Lines to a descriptor whose reader may stand still: a stopped pager, a terminal after Ctrl-S, a journal that hangs.
// The writer waits for it a moment, and then goes on without: what is lost is counted for the writer to say.
//
// It asks before each piece whether the descriptor takes it, and does not make it non-blocking: that would be so for
// every process that has it, the starter's shell too.
//
// Threads: one at a time. Errors: a line that nobody will ever read (EPIPE, a full disk) counts as written; there is no
// place to tell it.
#pragma once

#include <chrono>
#include <string_view>

namespace peaknet {

class LineOutput {
 public:
  explicit LineOutput(int fd) : fd_(fd) {}

  // A line with its end. False: it was not taken within `patience`, and is lost whole or in its end.
  bool write(std::string_view line, std::chrono::milliseconds patience);

 private:
  bool write_piece(std::string_view& line, std::chrono::milliseconds patience);

  int fd_;
  bool torn_ = false;  // the last line lost its end
};

}  // namespace peaknet
