// StagedDevice: a device on the host that behaves like a GPU without access to the slots: images are copied into the
// lane on the upload stream and masks back into the slot on the download stream, each some time later. Delays come from
// a seed. What an event does not order goes wrong here, and is a data race for ThreadSanitizer. It may be lost on
// demand.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "daemon/device/host_device.hpp"

namespace peaknet::engine::test {

struct DeviceFault {
  std::atomic<bool> lost{false};
};

class StagedDevice final : public device::Device {
 public:
  using Stream = device::Stream;
  using Event = device::Event;

  StagedDevice(unsigned seed, std::shared_ptr<DeviceFault> fault) : fault_(std::move(fault)), random_(seed) {
    for (auto& stream : streams_) stream = device::make_host_device();
  }

  std::string name() const override { return "staged"; }
  std::string h2d_mode() const override { return "staged"; }
  Status adopt_payload(std::span<std::byte>, std::size_t) override { return {}; }
  Result<std::unique_ptr<device::Memory>> reserve(std::size_t bytes) override { return streams_[0]->reserve(bytes); }

  using device::Device::make_event;
  Event make_event(bool /*timed*/) override {
    events_.emplace_back();
    return static_cast<Event>(events_.size() - 1);
  }
  void record(Event event, Stream stream) override {
    Marks& marks = events_[event];
    push(stream, [&marks, generation = marks.record()] { marks.reach(generation); });
  }
  void wait(Stream stream, Event event) override {
    Marks& marks = events_[event];
    push(stream, [&marks, generation = marks.recorded()] { marks.wait(generation); });
  }
  bool done(Event event) override { return events_[event].done(); }
  void on_done(Event /*event*/, Stream stream, std::function<void()> notify) override {
    push(stream, std::move(notify));
  }

  device::Uploaded upload(const device::ImageRun& images, std::byte* lane, std::size_t lane_stride) override {
    push(Stream::upload, [images, lane, lane_stride, pause = some_delay()] {
      for (std::uint32_t i = 0; i < images.count; ++i) std::memset(lane + i * lane_stride, 0xee, images.bytes);
      pause();
      for (std::uint32_t i = 0; i < images.count; ++i)
        std::memcpy(lane + i * lane_stride, images.image(i), images.bytes);
    });
    return {{lane, images.bytes, lane_stride, images.count}, 1};
  }
  std::uint64_t* result_place(std::span<std::uint64_t> /*slot*/, std::uint64_t* lane) override { return lane; }
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override {
    push(Stream::download, [place, slot, pause = some_delay()] {
      pause();
      std::memcpy(slot.data(), place, slot.size_bytes());
    });
  }
  void compute(std::function<void(void*)> work) override {
    push(Stream::compute, [work = std::move(work), pause = some_delay()] {
      pause();
      work(nullptr);
    });
  }
  kernels::Kernels& kernels() override { return streams_[0]->kernels(); }

  bool idle_within(std::chrono::nanoseconds at_most) override {
    return std::all_of(streams_.begin(), streams_.end(), [&](auto& stream) { return stream->idle_within(at_most); });
  }
  Status health() override {
    if (!fault_ || !fault_->lost.load()) return {};
    return Error{"device.lost", "the staged device was lost on demand", "its frames go back to Q1", ""};
  }
  bool release(std::chrono::nanoseconds at_most) override {
    return std::all_of(streams_.begin(), streams_.end(), [&](auto& stream) { return stream->release(at_most); });
  }

 private:
  class Marks {  // of one event: how often recorded, how far reached
   public:
    std::uint64_t record() {
      const std::lock_guard lock(mutex_);
      return ++recorded_;
    }
    std::uint64_t recorded() {
      const std::lock_guard lock(mutex_);
      return recorded_;
    }
    void reach(std::uint64_t generation) {
      const std::lock_guard lock(mutex_);
      reached_ = generation;
      changed_.notify_all();
    }
    void wait(std::uint64_t generation) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return reached_ >= generation; });
    }
    bool done() {
      const std::lock_guard lock(mutex_);
      return reached_ >= recorded_;
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t recorded_ = 0, reached_ = 0;
  };

  std::function<void()> some_delay() {
    const unsigned kind = random_() % 4;
    const auto span = std::chrono::microseconds(random_() % 60);
    if (kind == 0) return [span] { std::this_thread::sleep_for(span); };
    if (kind == 1) return [] { std::this_thread::yield(); };
    return [] {};
  }
  // Every stream of this device is the compute stream of a host device of its own.
  void push(Stream stream, std::function<void()> work) {
    streams_[static_cast<std::size_t>(stream)]->compute([work = std::move(work)](void*) { work(); });
  }

  std::shared_ptr<DeviceFault> fault_;
  std::mt19937 random_;
  std::deque<Marks> events_;
  std::array<std::unique_ptr<device::Device>, device::kStreams> streams_;  // last: they end before what they use
};

}  // namespace peaknet::engine::test
