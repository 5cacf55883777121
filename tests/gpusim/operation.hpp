// Operation, Stream, Event, Recording: what the simulated devices have to do, and in which order.
//
// Threads: all of it belongs to the Machine and is guarded by its mutex; `run` and `call` are executed without it.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/gpusim/access.hpp"
#include "tests/gpusim/clock.hpp"

namespace peaknet::gpusim {

using Time = std::chrono::steady_clock;

// A device does one operation at a time on each of these.
enum class Unit : std::uint8_t { upload, compute, download, none };

struct Event {
  int device = 0;
  bool timed = false;
  bool destroyed = false;
  std::uint64_t recorded = 0, reached = 0;  // how often
  Clock clock;                              // of the last record
  Time::time_point when{};                  // it was reached
};

struct Operation {
  enum class Kind : std::uint8_t { kernel, copy, host, record, wait };
  Kind kind;
  std::string what;
  std::vector<Range> ranges{};                // known beforehand: of a copy
  std::function<std::vector<Range>()> run{};  // kernel, copy: does it and says what it touched; throws Fault
  std::function<void()> call{};               // host
  Event* event = nullptr;                     // record, wait
  std::uint64_t generation = 0;               // of the event
  Unit unit = Unit::none;
  std::chrono::nanoseconds takes{0};  // by the model of the hardware
  Time::time_point put_at{};
  Clock clock{};
};

// What a stream records for a graph.
struct Recording {
  std::vector<Operation> operations;
  bool spoilt = false;
  std::thread::id by;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
};

struct Stream {
  std::uint32_t number = 0;
  int device = 0;
  std::deque<Operation> operations{};
  bool running = false;  // the first one is under way
  bool hung = false, destroyed = false;
  Time::time_point due{};      // when the one under way is done, by the model of the hardware
  Time::time_point reached{};  // when the last one was done, by the same model: no later because this machine was
  Clock clock{};               // of what was put on it last
  std::shared_ptr<Recording> recording{};
  bool busy() const { return !operations.empty() || running; }
};

}  // namespace peaknet::gpusim
