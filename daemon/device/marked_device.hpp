// MarkedDevice: a device whose every call is marked (call_mark.hpp), so that another thread sees one that does not
// return. Once a call was given up the device is never well again (health), whatever it does later.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "daemon/device/call_mark.hpp"
#include "daemon/device/device.hpp"

namespace peaknet::device {

class MarkedDevice final : public Device {
 public:
  MarkedDevice(std::unique_ptr<Device> device, std::shared_ptr<CallMark> mark)
      : mark_(std::move(mark)), device_(std::move(device)) {}
  MarkedDevice(const MarkedDevice&) = delete;
  MarkedDevice& operator=(const MarkedDevice&) = delete;
  ~MarkedDevice() override {
    const CallMark::Inside inside(*mark_, "closing the device");
    device_.reset();
  }

  std::string name() const override { return device_->name(); }
  std::string h2d_mode() const override { return device_->h2d_mode(); }
  std::optional<Error> detour() const override { return device_->detour(); }
  Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) override {
    const CallMark::Inside inside(*mark_, "the registration of the slots");
    return device_->adopt_payload(payload, slot_bytes);
  }
  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override;
  Result<std::unique_ptr<Memory>> reserve_on_host(std::size_t bytes) override;
  MemoryFacts memory() const override {
    const CallMark::Inside inside(*mark_, "asking how much memory is free");
    return device_->memory();
  }

  using Device::make_event;
  Event make_event(bool timed) override {
    const CallMark::Inside inside(*mark_, "making an event");
    return device_->make_event(timed);
  }
  void free_event(Event event) override {
    const CallMark::Inside inside(*mark_, "giving an event back");
    device_->free_event(event);
  }
  std::optional<std::chrono::nanoseconds> elapsed(Event from, Event to) override {
    const CallMark::Inside inside(*mark_, "asking for a time");
    return device_->elapsed(from, to);
  }
  void record(Event event, Stream stream) override {
    const CallMark::Inside inside(*mark_, "recording an event");
    device_->record(event, stream);
  }
  void wait(Stream stream, Event event) override {
    const CallMark::Inside inside(*mark_, "ordering streams");
    device_->wait(stream, event);
  }
  bool done(Event event) override {
    const CallMark::Inside inside(*mark_, "asking for an event");
    return device_->done(event);
  }
  void on_done(Event event, Stream stream, std::function<void()> notify) override {
    const CallMark::Inside inside(*mark_, "asking to be told of an event");
    device_->on_done(event, stream, std::move(notify));
  }

  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) override {
    const CallMark::Inside inside(*mark_, "an upload");
    return device_->upload(images, lane, lane_stride);
  }
  std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* lane) override {
    return device_->result_place(slot, lane);
  }
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override {
    const CallMark::Inside inside(*mark_, "a download");
    device_->download(place, slot);
  }
  void compute(std::function<void(void* stream)> work) override {
    const CallMark::Inside inside(*mark_, "work for the compute stream");
    device_->compute(std::move(work));
  }
  void clear(std::byte* memory, std::size_t bytes) override {
    const CallMark::Inside inside(*mark_, "clearing memory");
    device_->clear(memory, bytes);
  }
  kernels::Kernels& kernels() override { return device_->kernels(); }
  Graphs* graphs() override { return device_->graphs(); }

  bool idle_within(std::chrono::nanoseconds at_most) override {
    const CallMark::Inside inside(*mark_, "waiting for the streams");
    return device_->idle_within(at_most);
  }
  Status health() override {
    if (auto well = mark_->verdict(); !well) return well;
    return device_->health();
  }
  bool release(std::chrono::nanoseconds at_most) override {
    const CallMark::Inside inside(*mark_, "giving the device up");
    return device_->release(at_most);
  }

 private:
  std::shared_ptr<CallMark> mark_;
  std::unique_ptr<Device> device_;
};

}  // namespace peaknet::device
