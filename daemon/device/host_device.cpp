#include "daemon/device/host_device.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

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
class HostEvent {
 public:
  std::uint64_t record() {
    const std::lock_guard hold(mutex_);
    return ++recorded_;
  }
  std::uint64_t last_record() const {
    const std::lock_guard hold(mutex_);
    return recorded_;
  }
  void complete(std::uint64_t generation) {
    const std::lock_guard hold(mutex_);
    done_ = std::max(done_, generation);
    done_at_ = std::chrono::steady_clock::now();
    changed_.notify_all();  // under the lock: the waiter may destroy the event as soon as it has it
  }
  void wait(std::uint64_t generation) {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [&] { return done_ >= generation; });
  }
  bool wait_until(std::uint64_t generation, std::chrono::steady_clock::time_point deadline) {
    std::unique_lock hold(mutex_);
    return changed_.wait_until(hold, deadline, [&] { return done_ >= generation; });
  }
  std::chrono::steady_clock::time_point done_at() const {
    const std::lock_guard hold(mutex_);
    return done_at_;
  }
  bool done() const {
    const std::lock_guard hold(mutex_);
    return done_ >= recorded_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t recorded_ = 0;
  std::uint64_t done_ = 0;
  std::chrono::steady_clock::time_point done_at_{};
};

class HostStream {
 public:
  HostStream() : thread_([this](const std::stop_token& stop) { serve(stop); }) {}

  void push(std::function<void()> work) {
    {
      const std::lock_guard hold(mutex_);
      queue_.push_back(std::move(work));
    }
    changed_.notify_one();
  }

 private:
  // Runs what is queued to the end also after a stop request: an event that somebody waits for is never left out.
  void serve(const std::stop_token& stop) {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock hold(mutex_);
        if (!changed_.wait(hold, stop, [&] { return !queue_.empty(); })) return;
        work = std::move(queue_.front());
        queue_.pop_front();
      }
      work();
    }
  }
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> queue_;
  std::jthread thread_;
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
  Event make_event(bool /*timed*/) override {
    events_.emplace_back();
    return static_cast<Event>(events_.size() - 1);
  }
  std::optional<std::chrono::nanoseconds> elapsed(Event from, Event to) override {
    return events_[to].done_at() - events_[from].done_at();
  }
  void record(Event event, Stream stream) override {
    HostEvent& target = events_[event];
    stream_of(stream).push([&target, generation = target.record()] { target.complete(generation); });
  }
  void wait(Stream stream, Event event) override {
    HostEvent& source = events_[event];
    stream_of(stream).push([&source, generation = source.last_record()] { source.wait(generation); });
  }
  bool done(Event event) override { return events_[event].done(); }
  void on_done(Event /*event*/, Stream stream, std::function<void()> notify) override {
    stream_of(stream).push(std::move(notify));
  }

  Uploaded upload(const ImageRun& images, std::byte* /*lane*/, std::size_t /*lane_stride*/) override {
    return {images, 0};
  }
  std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* /*lane*/) override { return slot.data(); }
  void download(const std::uint64_t* /*place*/, std::span<std::uint64_t> /*slot*/) override {}

  void compute(std::function<void(void* stream)> work) override {
    stream_of(Stream::compute).push([work = std::move(work)] { work(nullptr); });
  }
  kernels::Kernels& kernels() override { return kernels_; }

  Status synchronize() override {
    for (auto& end : mark_ends()) end->wait(1);
    return {};
  }
  Status health() override { return {}; }
  bool let_go(std::chrono::nanoseconds at_most) override {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    if (ends_.empty()) ends_ = mark_ends();  // asked once, waited for as often as need be
    return std::all_of(ends_.begin(), ends_.end(), [&](auto& end) { return end->wait_until(1, deadline); });
  }

 private:
  using Ends =
      std::vector<std::shared_ptr<HostEvent>>;  // shared: a stream may reach its end when nobody waits any more
  Ends mark_ends() {
    Ends ends;
    for (auto& stream : streams_) {
      const auto end = std::make_shared<HostEvent>();
      stream.push([end, generation = end->record()] { end->complete(generation); });
      ends.push_back(end);
    }
    return ends;
  }
  HostStream& stream_of(Stream stream) { return streams_[static_cast<std::size_t>(stream)]; }
  kernels::ReferenceKernels kernels_;
  Ends ends_;                                 // of what was there when let_go was asked
  std::deque<HostEvent> events_;              // a deque: events stay where they are when more are made
  std::array<HostStream, kStreams> streams_;  // last: their threads end before what they use
};

}  // namespace

std::unique_ptr<Device> make_host_device() { return std::make_unique<HostDevice>(); }

}  // namespace peaknet::device
