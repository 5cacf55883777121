// Machine: the simulated devices of this process. One thread is all devices: it serves one operation at a time from the
// head of some stream. Another is the driver's: it calls the host functions. The functions of the runtime (api_*.cpp)
// put operations on streams and wait here.
//
// Threads: everything public is guarded by `mutex`, which the caller holds; the two threads hold it but while they do
// an operation. There is one Machine, made at the first call and never destroyed, because a runtime that is interposed
// has no other owner and its threads outlive main().
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/gpusim/findings.hpp"
#include "tests/gpusim/memory_table.hpp"
#include "tests/gpusim/operation.hpp"
#include "tests/gpusim/scheduler.hpp"
#include "tests/gpusim/settings.hpp"

namespace peaknet::gpusim {

struct Device {
  std::uint64_t total = 0, used = 0;                               // bytes
  cudaError_t sticky = cudaSuccess;                                // what every call answers once the device is broken
  bool blocked = false;                                            // no call comes back
  std::array<bool, 3> occupied{};                                  // by Unit, by the model of the hardware
  std::array<std::chrono::steady_clock::time_point, 3> free_at{};  // by Unit, by the same model
};

// What the runtime remembers of a thread of the program.
struct ThreadState {
  std::uint64_t since_reset = 0;  // the reset after which it called first; 0: it has not called
  bool in_host_function = false;
  int device = 0;
  cudaError_t last = cudaSuccess;
  std::vector<std::shared_ptr<Recording>> recordings;
};

class Machine {
 public:
  static Machine& the();
  static bool made();  // is there one yet?
  static ThreadState& thread();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  std::mutex mutex;
  std::condition_variable changed;
  Settings settings;
  Findings findings;
  MemoryTable memory;
  std::vector<Device> devices;
  std::vector<std::unique_ptr<Stream>> streams;
  std::map<std::string, std::uint64_t> counts;  // of what happened, for the summary
  Clock host;                                   // what the program knows to be done

  // Every function begins with it: cudaSuccess, or what the device of `what` answers. Called from a host function of a
  // stream, which the driver forbids, it is a finding. A device whose driver hangs does not come back from here, nor does a
  // thread that a reset has left behind: what it knows is gone.
  cudaError_t enter(std::unique_lock<std::mutex>& lock, int device, const char* what);
  // A call that a thread must not make while it records: the recording is spoilt.
  bool forbidden_while_recording(const char* what);
  // At the end of a stream, or into its recording.
  cudaError_t put(Stream& stream, Operation operation);
  Stream* make_stream(int device);
  bool idle(int device) const;
  // Wait until the condition holds, or the device is broken.
  void wait(std::unique_lock<std::mutex>& lock, int device, const std::function<bool()>& condition);
  std::uint64_t random() { return scheduler_.below(~0ULL); }

  // Faults that a test chooses: at the `count`-th operation from now on whose description contains `text`.
  void break_after(const std::string& text, std::uint64_t count);
  void hang_after(const std::string& text, std::uint64_t count);
  void block_after(const std::string& text, std::uint64_t count);  // of the calls
  void free_hung();
  // Devices as at the begin of a process, by the environment as it is now. What the program has leaked of them is
  // forgotten; the findings stay. Precondition: the program has no device any more.
  void reset();

 private:
  Machine();
  struct Pending {  // a Trigger, and how many operations it has seen
    Trigger trigger;
    std::uint64_t seen = 0;
    bool hit(const std::string& what);
  };
  void start();
  void serve_streams();
  void serve_host_functions();
  bool ready(const Stream& stream, Time::time_point now) const;
  void serve(Stream& stream, std::unique_lock<std::mutex>& lock);
  void execute(Stream& stream, std::unique_lock<std::mutex>& lock);
  void complete(Stream& stream);
  Time::time_point finish_due(Time::time_point now);
  void break_down(int device);
  void stamp(Stream& stream, Operation& operation);
  void note_access(const Stream& stream, const Operation& operation, const Range& range);
  bool& occupied(const Stream& stream, Unit unit);
  bool occupied(const Stream& stream, Unit unit) const;
  Time::time_point earliest(const Stream& stream) const;
  Time::time_point end_of(const Stream& stream) const;
  void at_exit();

  Scheduler scheduler_;
  Pending sticky_, hang_, block_;
  bool started_ = false;
  std::uint64_t executed_ = 0;
  std::uint64_t resets_ = 1;
  std::condition_variable calls_;
  std::deque<std::pair<Stream*, std::function<void()>>> to_call_;
};

}  // namespace peaknet::gpusim
