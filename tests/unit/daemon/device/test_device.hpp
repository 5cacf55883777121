// TestDevice: a device whose streams are stepped one operation at a time, in an order that a seed chooses among all
// that are legal: each stream in its own order, a wait not before its event. It copies as a GPU does, knows through
// HappensBefore of every access to slots and lanes, and fails on demand.
//
// One thread, which calls the engine's side (Device) and step() in turns. Nothing here depends on time: the same seed
// and the same calls give the same steps.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "daemon/device/device.hpp"
#include "daemon/device/staging_ring.hpp"
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
  bool staged = false;             // images and masks go through a few pieces of memory, not straight
  std::uint32_t failing_runs = 0;  // so many of the next runs: device.transient
  // Graphs: a model that is asked to record says through `tape` what its run was; a replay plays that.
  bool has_graphs = false;
  bool refuses_graphs = false;  // what was recorded turns out not to be recordable
  bool spoils_graphs = false;   // a replay does nothing at all
  bool recording = false;
  std::function<Status()> tape;
  std::uint64_t replays = 0;

  std::optional<Error> error_for(std::uint32_t rows);
};

class TestGraphs final : public Graphs {
 public:
  explicit TestGraphs(std::shared_ptr<TestDeviceHandle> handle) : handle_(std::move(handle)) {}
  Status begin(void* /*stream*/) override {
    handle_->recording = true;
    return {};
  }
  Result<std::unique_ptr<Graph>> end(void* /*stream*/) override {
    handle_->recording = false;
    if (handle_->refuses_graphs) return Error{"graph.refused", "refused on demand", "", ""};
    return std::unique_ptr<Graph>(new Recording(handle_, std::exchange(handle_->tape, nullptr)));
  }

 private:
  class Recording final : public Graph {
   public:
    Recording(std::shared_ptr<TestDeviceHandle> handle, std::function<Status()> tape)
        : handle_(std::move(handle)), tape_(std::move(tape)) {}
    Status replay(void* /*stream*/) override {
      ++handle_->replays;
      return handle_->spoils_graphs ? Status{} : tape_();
    }

   private:
    std::shared_ptr<TestDeviceHandle> handle_;
    std::function<Status()> tape_;
  };
  std::shared_ptr<TestDeviceHandle> handle_;
};

class TestDevice final : public Device, private StagingStreams {
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
  std::string h2d_mode() const override { return handle_->staged ? "staged" : "test"; }
  Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) override;
  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override;
  using Device::make_event;
  Event make_event(bool timed) override;
  void record(Event event, Stream stream) override;
  void wait(Stream stream, Event event) override;
  bool done(Event event) override;
  void on_done(Event event, Stream stream, std::function<void()> notify) override;
  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) override;
  std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* lane) override;
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override;
  void compute(std::function<void(void* stream)> work) override;
  kernels::Kernels& kernels() override { return kernels_; }
  Graphs* graphs() override { return handle_->has_graphs ? &graphs_ : nullptr; }
  bool idle_within(std::chrono::nanoseconds at_most) override;
  Status health() override;
  bool release(std::chrono::nanoseconds at_most) override;

 private:
  using Clock = HappensBefore::Clock;
  struct Operation {
    std::function<bool()> ready;  // may it run? empty: yes
    std::function<void(const Clock&)> run;
    Clock when;
    bool harmless = false;  // touches no memory: also runs after a breakdown
  };
  bool waited_in_vain_ = false;
  struct Mark {  // an event
    std::uint64_t recorded = 0, reached = 0;
    Clock clock;  // of the last record
  };

  // The kernels, and what they touch.
  class WatchedKernels final : public kernels::Kernels {
   public:
    explicit WatchedKernels(TestDevice& device) : device_(device) {}
    void before(const kernels::FrameLayout& layout, const std::byte* const* events, std::uint32_t count,
                const kernels::TensorView& input, std::uint64_t* const* odd, void* stream) override;
    void after(const kernels::FrameLayout& layout, const kernels::TensorView& logits, std::uint64_t* const* masks,
               std::uint64_t* const* not_finite, std::uint32_t count, void* stream) override;

   private:
    TestDevice& device_;
    kernels::ReferenceKernels inner_;
  };

  static constexpr std::size_t kAllStreams = kStreams + 1;
  static constexpr auto kStagingStream = static_cast<Stream>(kStreams);
  static constexpr std::uint32_t kPieces = 2;

  void fill(std::byte* piece, const ImageRun& images) override;
  void send(const std::byte* piece, std::size_t bytes, std::uint32_t count, std::byte* to,
            std::size_t to_stride) override;
  void record_filled(std::uint32_t piece) override { record(filled_[piece], kStagingStream); }
  void wait_until_filled(std::uint32_t piece) override { wait(Stream::upload, filled_[piece]); }
  void record_sent(std::uint32_t piece) override { record(sent_[piece], Stream::upload); }
  void wait_until_sent(std::uint32_t piece) override { wait(kStagingStream, sent_[piece]); }

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
  std::array<HappensBefore::Actor, kAllStreams> actors_{};
  std::array<std::deque<Operation>, kAllStreams> streams_;
  std::deque<Mark> marks_;
  std::optional<std::size_t> stuck_;  // this stream does not go on
  bool stubborn_ = false;
  bool broken_ = false;
  const Clock* running_ = nullptr;  // of the compute operation that runs now
  std::uint64_t operations_ = 0;
  WatchedKernels kernels_{*this};
  TestGraphs graphs_{handle_};
  std::unique_ptr<Memory> pinned_;  // of the staging ring
  std::optional<StagingRing> ring_;
  std::array<Event, kPieces> filled_{}, sent_{};
};

}  // namespace peaknet::device::test
