// PinnedMemory: memory of the host that the driver has pinned, so that a copy holds up nobody. It may outlive its
// device.
//
// Threads: the worker's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <map>
#include <memory>
#include <utility>

#include "daemon/device/device.hpp"

namespace peaknet::device {

class PinnedMemory final : public Memory {
 public:
  using All = std::map<const std::byte*, std::size_t>;  // sizes by address
  PinnedMemory(void* address, std::size_t bytes, std::shared_ptr<All> all) : address_(address), all_(std::move(all)) {
    (*all_)[this->address()] = bytes;
  }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  ~PinnedMemory() override {
    all_->erase(address());
    cudaFreeHost(address_);
  }
  std::byte* address() const override { return static_cast<std::byte*>(address_); }
  static bool covers(const All& all, const void* address) {
    const auto* const byte = static_cast<const std::byte*>(address);
    auto after = all.upper_bound(byte);
    return after != all.begin() && byte < (--after)->first + after->second;
  }

 private:
  void* address_;
  std::shared_ptr<All> all_;
};

}  // namespace peaknet::device
