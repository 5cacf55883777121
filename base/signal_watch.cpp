#include "base/signal_watch.hpp"

#include <poll.h>

#include <array>
#include <utility>

namespace peaknet {

SignalWatch::SignalWatch(StopSignal& signals, std::function<void(int)> came)
    : thread_([this, &signals, came = std::move(came)] {
        for (;;) {
          std::array<pollfd, 2> watched{{{signals.fd(), POLLIN, 0}, {over_.fd(), POLLIN, 0}}};
          if (::poll(watched.data(), watched.size(), -1) < 0) continue;  // EINTR
          if (watched[1].revents != 0) return;
          while (const auto signal = signals.poll()) came(*signal);
        }
      }) {}

SignalWatch::~SignalWatch() { over_.notify(); }

}  // namespace peaknet
