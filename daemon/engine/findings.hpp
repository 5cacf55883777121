// Findings: what the kernels found in a batch that is no number: how many pixels of each event, and whether the network
// gave such logits for it. Words on the device that come to the host with the masks.
//
// Threads: the worker's; what it hands out is used on the device's streams. Errors: device.no-memory,
// device.no-pinned-memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "daemon/device/device.hpp"

namespace peaknet::engine {

class Findings {
 public:
  Findings() = default;

  // For at most so many events, or one event in at most so many passes.
  static Result<Findings> reserve(device::Device& device, std::uint32_t events, std::uint32_t passes) {
    const std::size_t bytes = (std::size_t{events} + std::max(events, passes)) * sizeof(std::uint64_t);
    auto memory = device.reserve(bytes);
    if (!memory) return memory.error();
    auto on_host = device.reserve_on_host(bytes);
    if (!on_host) return on_host.error();
    Findings findings;
    findings.memory_ = std::move(*memory);
    findings.on_host_ = std::move(*on_host);
    findings.bytes_ = bytes;
    return findings;
  }

  // Zeros on the device: they are read also where the network failed. Once all of a lane is reserved: what is given
  // back at once must not be in work on a stream.
  void clear(device::Device& device) { device.clear(memory_->address(), bytes_); }

  // Of a batch of `events`, each of which the network sees in `passes` runs.
  void begin(device::Device& device, std::uint32_t events, std::uint32_t passes) {
    events_ = events;
    const std::size_t words = std::size_t{events} + (passes > 1 ? passes : events);
    batch_ = {reinterpret_cast<std::uint64_t*>(on_host_->address()), words};
    auto* first = device.result_place(batch_, reinterpret_cast<std::uint64_t*>(memory_->address()));
    places_.resize(words);
    for (std::size_t i = 0; i < words; ++i) places_[i] = first + i;
  }
  // Where the kernels put it: Kernels::before and Kernels::after.
  std::uint64_t* const* odd_pixels_of_events() const { return places_.data(); }
  std::uint64_t* const* not_finite_of_events() const { return places_.data() + events_; }
  std::uint64_t* const* not_finite_of_pass(std::uint32_t pass) const { return places_.data() + events_ + pass; }
  // On the download stream.
  void download(device::Device& device) { device.download(places_.front(), batch_); }

  // When that is done.
  std::uint64_t odd_pixels() const {
    return std::accumulate(batch_.begin(), batch_.begin() + events_, std::uint64_t{0});
  }
  bool not_finite(std::size_t event) const {
    const auto flags = batch_.subspan(events_);
    if (flags.size() == events_) return flags[event] != 0;
    return std::any_of(flags.begin(), flags.end(), [](std::uint64_t flag) { return flag != 0; });
  }

 private:
  std::unique_ptr<device::Memory> memory_, on_host_;
  std::span<std::uint64_t> batch_;      // on the host: odd pixels of each event, then a flag for each event or pass
  std::vector<std::uint64_t*> places_;  // of the same on the device; unchanged while it may use them
  std::size_t bytes_ = 0;
  std::uint32_t events_ = 0;
};

}  // namespace peaknet::engine
