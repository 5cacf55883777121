#include "daemon/device/cuda_staging.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/device/cuda_errors.hpp"

namespace peaknet::device {

Result<std::unique_ptr<CudaStaging>> CudaStaging::open(const std::string& device, cudaStream_t upload,
                                                       cudaStream_t download, std::shared_ptr<HostCalls> calls) {
  auto staging = std::unique_ptr<CudaStaging>(new CudaStaging(upload, download, std::move(calls)));
  constexpr std::size_t kBytes = kPieces * kPiece + kDownPiece;
  if (const auto code = cudaHostAlloc(&staging->memory_, kBytes, cudaHostAllocPortable); code != cudaSuccess) {
    cudaGetLastError();
    return no_pinned_memory(device, kBytes, code);
  }
  cudaError_t code = cudaStreamCreateWithFlags(&staging->stream_, cudaStreamNonBlocking);
  for (auto* events : {&staging->filled_, &staging->sent_}) {
    for (auto& event : *events)
      if (code == cudaSuccess) code = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  }
  if (code != cudaSuccess) return lost(device, "making what orders copies", code);
  staging->ring_.emplace(std::span(static_cast<std::byte*>(staging->memory_), kPieces * kPiece), kPieces);
  return staging;
}

CudaStaging::~CudaStaging() {
  if (stream_ != nullptr) cudaStreamSynchronize(stream_);
  for (auto* events : {&filled_, &sent_}) {
    for (cudaEvent_t event : *events) {
      if (event != nullptr) cudaEventDestroy(event);
    }
  }
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
  if (memory_ != nullptr) cudaFreeHost(memory_);
}

void CudaStaging::download(const std::uint64_t* place, std::span<std::uint64_t> slot) {
  auto* piece = static_cast<std::byte*>(memory_) + kPieces * kPiece;
  const auto from = std::as_bytes(std::span(place, slot.size()));
  const auto to = std::as_writable_bytes(slot);
  for (std::size_t at = 0; at < to.size(); at += kDownPiece) {
    const std::size_t part = std::min(kDownPiece, to.size() - at);
    note(cudaMemcpyAsync(piece, from.data() + at, part, cudaMemcpyDeviceToHost, download_));
    on_processor(download_, [piece, place = to.data() + at, part] { std::memcpy(place, piece, part); });
  }
}

}  // namespace peaknet::device
