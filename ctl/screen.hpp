// Screen: a terminal as `top` needs it, and as it was again afterwards; its keys, and the signals that concern it.
//
// Threads: one. After a crash the terminal stays raw, as with every such program: `reset` brings it back.
#pragma once

#include <signal.h>
#include <termios.h>

#include <chrono>
#include <iosfwd>
#include <string>

#include "base/stop_signal.hpp"

namespace peaknet::ctl {

class Screen {
 public:
  // `out` leads to the terminal; keys come from stdin.
  explicit Screen(std::ostream& out);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void draw(const std::string& picture);

  enum class Event { time, key, window, end };
  // What came first. `key`: the bytes of one key; what was typed beyond it comes with the next calls, none is lost.
  // A suspension (Ctrl-Z) is over when this returns, as `window`.
  Event wait(std::chrono::milliseconds at_most, std::string& key);

 private:
  void enter();
  void leave();
  Event take_signal();

  std::ostream& out_;
  termios before_{};
  bool known_;
  sigset_t mask_before_{};
  int signals_ = -1;
  std::string typed_;  // and not asked for yet
  StopSignal stop_;
};

// Takes the first key out of `typed`, which is not empty: a byte, or the whole of an escape sequence.
std::string take_key(std::string& typed);

}  // namespace peaknet::ctl
