// PumpedDevice: a test device for an engine that has threads of its own: a thread takes the steps, one call or step at
// a time. What a seed says is still the order of the steps among themselves; when they come is up to the machine.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "tests/unit/daemon/device/test_device.hpp"

namespace peaknet::device::test {

class PumpedDevice final : public Device {
  template <class Call>
  auto one(const Call& call) {
    const std::lock_guard hold(mutex_);
    changed_.notify_one();  // the pump looks as soon as the lock is free
    return call();
  }

 public:
  PumpedDevice(std::string name, unsigned seed, std::shared_ptr<HappensBefore> order)
      : inner_(std::move(name), seed, std::make_shared<TestDeviceHandle>(), std::move(order)),
        pump_([this](const std::stop_token& stop) { pump(stop); }) {}

  std::string name() const override { return inner_.name(); }
  std::string h2d_mode() const override { return inner_.h2d_mode(); }
  Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) override {
    return one([&] { return inner_.adopt_payload(payload, slot_bytes); });
  }
  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override {
    return one([&] { return inner_.reserve(bytes); });
  }
  using Device::make_event;
  Event make_event(bool timed) override {
    return one([&] { return inner_.make_event(timed); });
  }
  void record(Event event, Stream stream) override {
    one([&] { inner_.record(event, stream); });
  }
  void wait(Stream stream, Event event) override {
    one([&] { inner_.wait(stream, event); });
  }
  bool done(Event event) override {
    return one([&] { return inner_.done(event); });
  }
  void on_done(Event event, Stream stream, std::function<void()> notify) override {
    one([&] { inner_.on_done(event, stream, std::move(notify)); });
  }
  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) override {
    return one([&] { return inner_.upload(images, lane, lane_stride); });
  }
  std::uint64_t* result_place(std::span<std::uint64_t> slot, std::uint64_t* lane) override {
    return inner_.result_place(slot, lane);
  }
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override {
    one([&] { inner_.download(place, slot); });
  }
  void compute(std::function<void(void* stream)> work) override {
    one([&] { inner_.compute(std::move(work)); });
  }
  kernels::Kernels& kernels() override { return inner_.kernels(); }
  bool idle_within(std::chrono::nanoseconds at_most) override {
    return one([&] { return inner_.idle_within(at_most); });
  }
  Status health() override {
    return one([&] { return inner_.health(); });
  }
  bool release(std::chrono::nanoseconds at_most) override {
    return one([&] { return inner_.release(at_most); });
  }

 private:
  void pump(const std::stop_token& stop) {
    std::unique_lock hold(mutex_);
    while (!stop.stop_requested()) {
      if (!inner_.step()) {
        changed_.wait(hold, stop, [&] { return inner_.can_step(); });
        continue;
      }
      hold.unlock();
      std::this_thread::yield();  // between two steps anything may happen
      hold.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  TestDevice inner_;
  std::jthread pump_;
};

}  // namespace peaknet::device::test
