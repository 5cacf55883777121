// SignalWatch: stop signals as calls, from a thread of its own, for programs whose loops cannot wait on a descriptor as
// well. It sleeps until a signal comes: an idle program costs nothing.
#pragma once

#include <functional>
#include <thread>

#include "base/stop_signal.hpp"
#include "base/wake.hpp"

namespace peaknet {

class SignalWatch {
 public:
  // `came` is called with the number of each signal, one after the other. `signals` must live longer, and nobody else
  // waits for them meanwhile.
  SignalWatch(StopSignal& signals, std::function<void(int)> came);
  ~SignalWatch();  // no call is under way afterwards
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  Wake over_;
  std::jthread thread_;  // last: it uses the other
};

}  // namespace peaknet
