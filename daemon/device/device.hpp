// Device: what the engine asks of a GPU, or of what stands in for one. Three streams, events, and transfers from and to
// the slots.
//
// Work given to one stream runs in its order; work of different streams runs at any time relative to each other unless
// an event orders it: record(event, a) then wait(b, event) makes what b does afterwards come after what a did before.
// An event may be recorded again once what it stood for is done. All calls come from the one worker thread that owns
// the device and return at once; nothing here blocks but idle_within(), synchronize() and release().
//
// Implementations: HostDevice (streams are threads, transfers are not needed: it works in place), CudaDevice, and for
// tests TestDevice (tests/unit/daemon/device), which checks that events order every access to memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.hpp"
#include "daemon/device/graphs.hpp"
#include "daemon/kernels/kernels.hpp"

namespace peaknet::device {

enum class Stream : std::uint8_t { upload, compute, download };
inline constexpr int kStreams = 3;

using Event = std::uint32_t;  // made by make_event, valid until free_event or as long as the device

// Memory of the device, returned when it is destroyed.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual std::byte* address() const = 0;
};

// Of the host, for devices that need no other.
class HeapMemory final : public Memory {
 public:
  explicit HeapMemory(std::size_t bytes) : bytes_(new std::byte[bytes]()) {}
  std::byte* address() const override { return bytes_.get(); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
};

// Images at equal distances: those of neighbouring slots, which one transfer takes.
struct ImageRun {
  const std::byte* first = nullptr;
  std::size_t bytes = 0;   // of one image
  std::size_t stride = 0;  // from one to the next
  std::uint32_t count = 1;
  const std::byte* image(std::uint32_t i) const { return first + i * stride; }
};

// Where the kernels find the images of a run, and in how many transfers they came there.
struct Uploaded {
  ImageRun images;
  std::uint32_t transfers = 0;  // 0: they stay where they are
};

struct MemoryFacts {
  std::uint64_t free = 0, total = 0;  // bytes; 0: not known
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;      // "cpu", "cuda:0"
  virtual std::string h2d_mode() const = 0;  // how images reach the device: "in place", "registered", "staged"

  // Tell the device where the slots are and how large one is, once, before any transfer: a GPU registers the memory for
  // direct access.
  virtual Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) = 0;
  // Why images do not go the fast way that a device of this kind has, after adopt_payload; nothing: they do.
  virtual std::optional<Error> detour() const { return std::nullopt; }
  // Device memory for one lane. Errors: device.no-memory with what was asked for and what is free.
  virtual Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) = 0;

  // Memory of the host, zeros, that upload() and download() reach as they reach slots that are registered: without a
  // thread of the host in between.
  // Errors: device.no-pinned-memory.
  virtual Result<std::unique_ptr<Memory>> reserve_on_host(std::size_t bytes) {
    return std::unique_ptr<Memory>(new HeapMemory(bytes));
  }

  // Of the device, with everything that is on it. On the host: of the machine.
  virtual MemoryFacts memory() const { return {}; }

  // `timed`: for elapsed(); it costs a little more.
  virtual Event make_event(bool timed) = 0;
  Event make_event() { return make_event(false); }
  // Nobody asks for the event, or puts it on a stream, any more. What was put there with it is done as it would be.
  virtual void free_event(Event /*event*/) {}
  // By the device's own clock, between what two timed events last stood for; both are done. Nothing: it has no clock.
  virtual std::optional<std::chrono::nanoseconds> elapsed(Event /*from*/, Event /*to*/) { return std::nullopt; }
  virtual void record(Event event, Stream stream) = 0;
  virtual void wait(Stream stream, Event event) = 0;
  // Has everything before the last record of the event been done?
  virtual bool done(Event event) = 0;
  // Called once from a thread of the device when the event's last record is done. `notify` must not block or call the
  // device.
  virtual void on_done(Event event, Stream stream, std::function<void()> notify) = 0;

  // Copy the images to `lane` (memory of this device), `lane_stride` apart, on the upload stream, in one transfer where
  // possible; returns where the kernels find them: there, or in the slots themselves if the device can read them. The
  // images must stay as they are until an event after this call is done.
  virtual Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) = 0;
  // Where the kernels shall put a result that is to end up in `slot`: `lane`, or the slot itself.
  virtual std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* lane) = 0;
  // Copy a result from there to the slot on the download stream, if it is not there already.
  virtual void download(const std::uint64_t* place, std::span<std::uint64_t> slot) = 0;

  // Run `work` in the order of the compute stream. On a GPU it is called at once and enqueues kernels on the stream
  // whose handle it gets; on the host it is called on the stream's thread. It must not throw and must not call the
  // device.
  virtual void compute(std::function<void(void* stream)> work) = 0;

  // Zeros, in the order of the compute stream, into memory of this device.
  virtual void clear(std::byte* memory, std::size_t bytes) {
    compute([memory, bytes](void*) { std::memset(memory, 0, bytes); });
  }

  virtual kernels::Kernels& kernels() = 0;
  // To record work of the compute stream with; null: this device has no use for it.
  virtual Graphs* graphs() { return nullptr; }

  // Wait until all streams are empty. True also if the device has failed, which health() tells; false: not yet.
  virtual bool idle_within(std::chrono::nanoseconds at_most) = 0;
  // The same without an end, for who has nothing else to do (tests, benches). Errors: device.lost with the cause.
  Status synchronize() {
    while (!idle_within(std::chrono::seconds(1))) continue;
    return health();
  }
  // The first error that makes the device unusable, or ok.
  virtual Status health() = 0;
  // The end, also of a device that is lost or stuck: nothing that was put on its streams touches slots or lanes any
  // more. False if that did not come true within `at_most`: then the device and that memory must stay. After true
  // nothing may be put on its streams but what compute() runs to take a model down.
  virtual bool release(std::chrono::nanoseconds at_most) = 0;
};

// An event that is needed for less time than its device lives.
class PassingEvent {
 public:
  explicit PassingEvent(Device& device, bool timed = false) : device_(&device), event_(device.make_event(timed)) {}
  PassingEvent(const PassingEvent&) = delete;
  PassingEvent& operator=(const PassingEvent&) = delete;
  ~PassingEvent() { device_->free_event(event_); }
  operator Event() const { return event_; }  // NOLINT(google-explicit-constructor): it is used as one

 private:
  Device* device_;
  Event event_;
};

}  // namespace peaknet::device
