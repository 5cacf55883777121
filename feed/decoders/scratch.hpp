// Scratch: memory that a decoder keeps from message to message. Grows to the largest that was needed (which the limits
// bound) and is never filled for nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace peaknet::feed {

class Scratch {
 public:
  // `bytes` of memory with anything in it. What was got before is void.
  std::span<std::byte> get(std::size_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();  // first, so that both are never held at once
      capacity_ = 0;
      memory_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      capacity_ = bytes;
    }
    return {memory_.get(), bytes};
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace peaknet::feed
