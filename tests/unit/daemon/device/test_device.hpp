// TestDevice: a device whose streams are stepped one operation at a time, in an order that a seed chooses among all
// that are legal: each stream in its own order, a wait not before its event. It copies as a GPU does, knows through
// HappensBefore of every access to slots and lanes, and fails on demand.
//
// One thread, which calls the engine's side (Device) and step() in turns. Nothing here depends on time: the same seed
// and the same calls give the same steps.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "daemon/device/device.hpp"
#include "daemon/kernels/reference_kernels.hpp"
#include "tests/unit/daemon/device/happens_before.hpp"

namespace peaknet::device::test {

class TestDevice;

// What a test holds of a device that the engine owns: its faults, and the device itself while it exists.
struct TestDeviceHandle {
  TestDevice* device = nullptr;

  // Faults that the engine meets when it reserves memory, and a model that asks error_for() in each run.
  std::uint32_t most_rows = ~0U;   // more at once: device.no-memory
  std::size_t most_bytes = ~0UL;   // reserve() of more: device.no-memory
  std::uint32_t failing_runs = 0;  // so many of the next runs: device.transient
  std::optional<Error> error_for(std::uint32_t rows);
};

class TestDevice final : public Device {
 public:
  TestDevice(std::string name, unsigned seed, std::shared_ptr<TestDeviceHandle> handle,
             std::shared_ptr<HappensBefore> order);
  TestDevice(const TestDevice&) = delete;
  TestDevice& operator=(const TestDevice&) = delete;
  ~TestDevice() override;

  // --- the test's side ---

  // Run the next operation of some stream that can go on. False: none can.
  bool step();
  bool can_step() const { return !able().empty(); }
  // A stream that cannot go on any more, for good or until it is told. The engine sees no error, only no event.
  // `stubborn`: it does not let go either, until free_streams().
  void stick(bool stubborn);
  void free_streams() { stuck_.reset(), stubborn_ = false; }
  // A sticky error: what is on the streams now does anything or nothing, and events may look done.
  void break_down();

  // --- the engine's side ---

  std::string name() const override { return name_; }
  std::string h2d_mode() const override { return "test"; }
  Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) override;
  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override;
  Event make_event() override;
  void record(Event event, Stream stream) override;
  void wait(Stream stream, Event event) override;
  bool done(Event event) override;
  void on_done(Event event, Stream stream, std::function<void()> notify) override;
  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) override;
  std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* lane) override;
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override;
  void compute(std::function<void(void* stream)> work) override;
  kernels::Kernels& kernels() override { return kernels_; }
  Status synchronize() override;
  Status health() override;
  bool let_go(std::chrono::nanoseconds at_most) override;

 private:
  using Clock = HappensBefore::Clock;
  struct Operation {
    std::function<bool()> ready;  // may it run? empty: yes
    std::function<void(const Clock&)> run;
    Clock when;
    bool harmless = false;  // touches no memory: also runs after a breakdown
  };
  struct Mark {  // an event
    std::uint64_t recorded = 0, reached = 0;
    Clock clock;  // of the last record
  };

  // The kernels, and what they touch.
  class WatchedKernels final : public kernels::Kernels {
   public:
    explicit WatchedKernels(TestDevice& device) : device_(device) {}
    void before(const kernels::FrameLayout& layout, const std::byte* const* events, std::uint32_t count,
                const kernels::TensorView& input, void* stream) override;
    void after(const kernels::FrameLayout& layout, const kernels::TensorView& logits, std::uint64_t* const* masks,
               std::uint32_t count, void* stream) override;

   private:
    TestDevice& device_;
    kernels::ReferenceKernels inner_;
  };

  std::uint32_t number(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }
  HappensBefore::Actor actor(Stream stream) const { return actors_[static_cast<std::size_t>(stream)]; }
  void push(Stream stream, Operation operation);
  void touch(Stream stream, const Clock& when, HappensBefore::Kind kind, const void* begin, std::size_t bytes,
             const std::string& what);
  bool empty() const;
  std::vector<std::size_t> able() const;  // the streams that can go on

  std::string name_;
  std::mt19937 random_;
  std::shared_ptr<TestDeviceHandle> handle_;
  std::shared_ptr<HappensBefore> order_;
  std::array<HappensBefore::Actor, kStreams> actors_{};
  std::array<std::deque<Operation>, kStreams> streams_;
  std::deque<Mark> marks_;
  std::optional<std::size_t> stuck_;  // this stream does not go on
  bool stubborn_ = false;
  bool broken_ = false;
  const Clock* running_ = nullptr;  // of the compute operation that runs now
  std::uint64_t operations_ = 0;
  WatchedKernels kernels_{*this};
};

}  // namespace peaknet::device::test
