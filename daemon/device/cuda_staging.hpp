// CudaStaging: a few pieces of memory that device and processor both reach at full speed, and what orders their use:
// for memory that is not registered. The driver would copy that too, but only while the calling thread waits, which
// then could not see that the device hangs. Uploads go through a ring with a stream of its own (staging_ring.hpp);
// masks are small and go through one piece in the order of the download stream.
//
// Threads: the worker's; the processor's part of a copy runs on a thread of the driver. Errors: device.no-pinned-memory
// and device.lost from open(); later ones by take_error(). Precondition of the destructor: nothing of it is on the
// streams, or the device lives.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "daemon/device/cuda_host_call.hpp"
#include "daemon/device/device.hpp"
#include "daemon/device/staging_ring.hpp"

namespace peaknet::device {

class CudaStaging final : public StagingStreams {
 public:
  static Result<std::unique_ptr<CudaStaging>> open(const std::string& device, cudaStream_t upload,
                                                   cudaStream_t download, std::shared_ptr<HostCalls> calls);
  CudaStaging(const CudaStaging&) = delete;
  CudaStaging& operator=(const CudaStaging&) = delete;
  ~CudaStaging() override;

  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) {
    return ring_->upload(*this, images, lane, lane_stride);
  }
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot);
  cudaStream_t stream() const { return stream_; }
  // The first error since the last call.
  cudaError_t take_error() { return std::exchange(error_, cudaSuccess); }

  void fill(std::byte* piece, const ImageRun& images) override {
    on_processor(stream_, [piece, images] { StagingRing::pack(images, piece); });
  }
  void send(const std::byte* piece, std::size_t bytes, std::uint32_t count, std::byte* to,
            std::size_t to_stride) override {
    note(cudaMemcpy2DAsync(to, to_stride, piece, bytes, bytes, count, cudaMemcpyHostToDevice, upload_));
  }
  void record_filled(std::uint32_t piece) override { note(cudaEventRecord(filled_[piece], stream_)); }
  void wait_until_filled(std::uint32_t piece) override { note(cudaStreamWaitEvent(upload_, filled_[piece], 0)); }
  void record_sent(std::uint32_t piece) override { note(cudaEventRecord(sent_[piece], upload_)); }
  void wait_until_sent(std::uint32_t piece) override { note(cudaStreamWaitEvent(stream_, sent_[piece], 0)); }

 private:
  static constexpr std::uint32_t kPieces = 4;
  static constexpr std::size_t kPiece = std::size_t{4} << 20;
  static constexpr std::size_t kDownPiece = std::size_t{1} << 20;

  CudaStaging(cudaStream_t upload, cudaStream_t download, std::shared_ptr<HostCalls> calls)
      : calls_(std::move(calls)), upload_(upload), download_(download) {}
  void on_processor(cudaStream_t stream, std::function<void()> work) {
    note(call_on_stream(stream, calls_, std::move(work)));
  }
  void note(cudaError_t code) {
    if (error_ == cudaSuccess) error_ = code;
  }

  std::shared_ptr<HostCalls> calls_;
  cudaStream_t upload_, download_;
  cudaStream_t stream_ = nullptr;
  void* memory_ = nullptr;
  std::array<cudaEvent_t, kPieces> filled_{}, sent_{};
  std::optional<StagingRing> ring_;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace peaknet::device
