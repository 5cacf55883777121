// CudaRegistrar: the slots, registered with the CUDA driver so that copies go straight between them and a GPU. Once for
// all GPUs of the process: registrations of their own would pin the whole pool, and take the time for it, once for
// each.
//
// One call of the driver covers a chunk of whole slots (drivers from 580 on fail from 512 GiB on), and a copy must not
// cross two of them. A chunk is halved while the driver refuses it; what cannot be covered whole is not registered.
//
// Threads: any. Who asks while another has the same memory registered waits for that, but not for a driver that hangs:
// then its images take the detour, and the device that is in that call is lost alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.hpp"

namespace peaknet::device {

// Memory that is registered as long as this lives. No copy may be under way when it ends.
class CudaRegistration {
 public:
  CudaRegistration(std::span<std::byte> memory, std::size_t chunk) : memory_(memory), chunk_(chunk) {}
  CudaRegistration(const CudaRegistration&) = delete;
  CudaRegistration& operator=(const CudaRegistration&) = delete;
  ~CudaRegistration();

  bool covers(const void* address) const {
    const auto* byte = static_cast<const std::byte*>(address);
    return byte >= memory_.data() && byte < memory_.data() + memory_.size();
  }
  // Of images at this distance, how many from this one on lie in one chunk with it.
  std::uint32_t up_to_chunk_end(const std::byte* image, std::size_t stride) const {
    if (stride == 0) return ~0U;
    const std::size_t left = chunk_ - static_cast<std::size_t>(image - memory_.data()) % chunk_;
    return static_cast<std::uint32_t>((left + stride - 1) / stride);
  }

 private:
  friend class CudaRegistrar;
  Status add_chunks();
  std::span<std::byte> memory_;
  std::size_t chunk_;
  std::vector<std::byte*> registered_;  // the begins of the chunks
};

class CudaRegistrar {
 public:
  static constexpr std::size_t kChunk = std::size_t{1} << 30;
  static constexpr std::size_t kSmallestChunk = std::size_t{16} << 20;
  explicit CudaRegistrar(std::size_t chunk = kChunk, std::chrono::nanoseconds patience = std::chrono::seconds(20))
      : chunk_(chunk), patience_(patience) {}

  // The registration of this memory, for all devices: another one's, while it lives. Called with any device selected.
  // Errors: device.not-registered, with what the driver said to the smallest chunk, or that it says nothing.
  Result<std::shared_ptr<const CudaRegistration>> cover(std::span<std::byte> payload, std::size_t slot_bytes);

 private:
  std::size_t chunk_;                  // bytes, at most; the first that is tried
  std::chrono::nanoseconds patience_;  // with another's call
  std::timed_mutex mutex_;             // the rest, also while the driver registers
  std::weak_ptr<const CudaRegistration> last_;
  std::span<std::byte> payload_;  // of the last one
};

}  // namespace peaknet::device
