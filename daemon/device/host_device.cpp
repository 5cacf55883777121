#include "daemon/device/host_device.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/text.hpp"
#include "daemon/kernels/reference_kernels.hpp"

namespace peaknet::device {
namespace {

// Address space that becomes memory when it is touched: reserving for the largest depth costs nothing until it is used.
class HostMemory final : public Memory {
 public:
  static Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) {
    void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) {
      return Error{"device.no-memory", "cannot reserve " + human_bytes(bytes) + " of host memory for a lane",
                   "no lane was changed", "a smaller engine.batch"};
    }
    return std::unique_ptr<Memory>(new HostMemory(address, bytes));
  }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  ~HostMemory() override { ::munmap(address_, bytes_); }
  std::byte* address() const override { return static_cast<std::byte*>(address_); }

 private:
  HostMemory(void* address, std::size_t bytes) : address_(address), bytes_(bytes) {}
  void* address_;
  std::size_t bytes_;
};

// What has been recorded and what of it is done; both only grow.
struct HostEvent {
  std::uint64_t recorded = 0;
  std::uint64_t done = 0;
  std::chrono::steady_clock::time_point done_at{};
};

// The queues of all streams, and their threads. Only work needs its stream's thread. Records and waits are done by
// whoever finds them at the head of a queue, and what was parked behind a wait goes on, to the end of its callbacks, in
// the thread that ended the wait: a batch wakes one thread of the device, and not one for each stream.
class HostStreams {
 public:
  HostStreams() {
    try {
      for (Line& line : lines_) line.thread = std::thread([this, &line] { serve(line); });
    } catch (...) {  // no more threads: those that run would wait for ever
      end();
      throw;
    }
  }
  HostStreams(const HostStreams&) = delete;
  HostStreams& operator=(const HostStreams&) = delete;
  // Runs what is queued to the end: an event that somebody waits for is never left out.
  ~HostStreams() { end(); }

  Event make_event() {
    const std::lock_guard hold(mutex_);
    events_.emplace_back();
    return static_cast<Event>(events_.size() - 1);
  }
  bool done(Event event) {
    const std::lock_guard hold(mutex_);
    return events_[event].done >= events_[event].recorded;
  }
  std::chrono::nanoseconds elapsed(Event from, Event to) {
    const std::lock_guard hold(mutex_);
    return events_[to].done_at - events_[from].done_at;
  }

  void record(Event event, Stream stream) {
    const std::lock_guard hold(mutex_);
    record(events_[event], line_of(stream));
  }
  void wait(Stream stream, Event event) {
    const std::lock_guard hold(mutex_);
    HostEvent& source = events_[event];
    if (source.done >= source.recorded) return;
    line_of(stream).items.push_back({Item::wait, &source, source.recorded, {}});
  }
  void push(Stream stream, std::function<void()> call) {
    const std::lock_guard hold(mutex_);
    Line& line = line_of(stream);
    line.items.push_back({Item::call, nullptr, 0, std::move(call)});
    if (line.items.size() == 1) line.changed.notify_one();
  }

  // A mark at the present end of each stream.
  using Ends = std::array<std::uint64_t, kStreams>;
  Ends mark_ends() {
    const std::lock_guard hold(mutex_);
    Ends ends{};
    for (std::size_t i = 0; i < kStreams; ++i) ends[i] = record(lines_[i].end, lines_[i]);
    return ends;
  }
  bool wait_for(const Ends& ends, std::chrono::steady_clock::time_point deadline) {
    std::unique_lock hold(mutex_);
    const auto reached = [&] {
      for (std::size_t i = 0; i < kStreams; ++i)
        if (lines_[i].end.done < ends[i]) return false;
      return true;
    };
    return end_reached_.wait_until(hold, deadline, reached);
  }

 private:
  struct Item {
    enum Kind : std::uint8_t { call, record, wait } kind;
    HostEvent* event;
    std::uint64_t generation;
    std::function<void()> work;
  };
  struct Line {
    std::deque<Item> items;  // the head stays while it is called: nobody else goes on with this stream then
    bool calling = false;
    HostEvent end;
    std::condition_variable changed;  // its thread may have something to call, or may end
    std::thread thread;
  };

  void end() {
    {
      const std::lock_guard hold(mutex_);
      ending_ = true;
      for (Line& line : lines_) line.changed.notify_one();
    }
    for (Line& line : lines_) {
      if (line.thread.joinable()) line.thread.join();
    }
  }

  Line& line_of(Stream stream) { return lines_[static_cast<std::size_t>(stream)]; }

  std::uint64_t record(HostEvent& event, Line& line) {
    line.items.push_back({Item::record, &event, ++event.recorded, {}});
    const std::uint64_t generation = event.recorded;
    if (line.items.size() == 1 && pass(line)) pass_all();
    return generation;
  }

  // Does the records and waits at the head of a stream. True: something is done that another stream may wait for.
  bool pass(Line& line) {
    bool any = false;
    while (!line.calling && !line.items.empty()) {
      Item& head = line.items.front();
      if (head.kind == Item::call) break;
      if (head.kind == Item::wait && head.event->done < head.generation) break;
      if (head.kind == Item::record) {
        head.event->done = std::max(head.event->done, head.generation);
        head.event->done_at = std::chrono::steady_clock::now();
        if (head.event == &line.end) end_reached_.notify_all();
        any = true;
      }
      line.items.pop_front();
    }
    if (line.items.empty() && ending_) line.changed.notify_one();
    return any;
  }
  // Of every stream that is parked behind a wait. Those that have something to call then are called by their threads.
  void pass_all() {
    for (bool again = true; std::exchange(again, false);) {
      for (Line& line : lines_) {
        if (!parked(line)) continue;
        again |= pass(line);
        if (callable(line)) line.changed.notify_one();
      }
    }
  }
  static bool parked(const Line& line) {
    return !line.calling && !line.items.empty() && line.items.front().kind == Item::wait;
  }
  static bool callable(const Line& line) {
    return !line.calling && !line.items.empty() && line.items.front().kind == Item::call;
  }

  void call_head(Line& line, std::unique_lock<std::mutex>& hold) {
    line.calling = true;
    {
      const auto work = std::move(line.items.front().work);
      hold.unlock();
      work();
    }  // and what it holds is gone before anything after it is done
    hold.lock();
    line.calling = false;
    line.items.pop_front();
  }

  void serve(Line& line) {
    std::unique_lock hold(mutex_);
    for (;;) {
      line.changed.wait(hold, [&] { return callable(line) || (ending_ && line.items.empty()); });
      if (line.items.empty()) return;
      call_head(line, hold);
      if (pass(line)) go_on_for_others(line, hold);
    }
  }
  // The download stream, and any that did nothing but wait: up to their callbacks, which are short. Work of the compute
  // stream is left to its own thread.
  void go_on_for_others(const Line& own, std::unique_lock<std::mutex>& hold) {
    for (bool again = true; std::exchange(again, false);) {
      for (Line& line : lines_) {
        if (!parked(line)) continue;
        again |= pass(line);
        while (callable(line) && &line != &own && &line != &line_of(Stream::compute)) {
          call_head(line, hold);
          again |= pass(line);
        }
        if (callable(line)) line.changed.notify_one();
      }
    }
  }

  std::mutex mutex_;  // all of this
  std::condition_variable end_reached_;
  bool ending_ = false;
  std::deque<HostEvent> events_;  // a deque: events stay where they are when more are made
  std::array<Line, kStreams> lines_;
};

class HostDevice final : public Device {
 public:
  std::string name() const override { return "cpu"; }
  std::string h2d_mode() const override { return "in place"; }
  Status adopt_payload(std::span<std::byte>, std::size_t) override { return {}; }
  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override { return HostMemory::reserve(bytes); }

  MemoryFacts memory() const override {
    std::ifstream facts("/proc/meminfo");  // lines as "MemAvailable:   123 kB"
    MemoryFacts memory;
    std::string name;
    std::uint64_t kib = 0;
    for (std::string unit; facts >> name >> kib; std::getline(facts, unit)) {
      if (name == "MemTotal:") memory.total = kib * 1024;
      if (name == "MemAvailable:") memory.free = kib * 1024;
    }
    return memory;
  }

  using Device::make_event;
  Event make_event(bool /*timed*/) override { return streams_.make_event(); }
  std::optional<std::chrono::nanoseconds> elapsed(Event from, Event to) override { return streams_.elapsed(from, to); }
  void record(Event event, Stream stream) override { streams_.record(event, stream); }
  void wait(Stream stream, Event event) override { streams_.wait(stream, event); }
  bool done(Event event) override { return streams_.done(event); }
  void on_done(Event /*event*/, Stream stream, std::function<void()> notify) override {
    marked_.reset();
    streams_.push(stream, std::move(notify));
  }

  Uploaded upload(const ImageRun& images, std::byte* /*lane*/, std::size_t /*lane_stride*/) override {
    return {images, 0};
  }
  std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* /*lane*/) override { return slot.data(); }
  void download(const std::uint64_t* /*place*/, std::span<std::uint64_t> /*slot*/) override {}

  void compute(std::function<void(void* stream)> work) override {
    marked_.reset();
    streams_.push(Stream::compute, [work = std::move(work)] { work(nullptr); });
  }
  kernels::Kernels& kernels() override { return kernels_; }

  bool idle_within(std::chrono::nanoseconds at_most) override {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    if (!marked_) marked_ = streams_.mark_ends();
    return streams_.wait_for(*marked_, deadline);
  }
  Status health() override { return {}; }
  bool release(std::chrono::nanoseconds at_most) override { return idle_within(at_most); }

 private:
  kernels::ReferenceKernels kernels_;
  std::optional<HostStreams::Ends> marked_;  // the ends of the streams, since something was put there last
  HostStreams streams_;                      // last: their threads end before what they use
};

}  // namespace

std::unique_ptr<Device> make_host_device() { return std::make_unique<HostDevice>(); }

}  // namespace peaknet::device
