#include "daemon/device/cuda_device.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/text.hpp"
#include "daemon/kernels/cuda_kernels.hpp"

namespace peaknet::device {
namespace {

// One call of cudaHostRegister may not grow without bound (drivers from 580 on fail from 512 GiB). Copies must not
// cross two registrations, so a chunk is a number of whole slots of at most so many bytes.
constexpr std::size_t kRegisterChunk = std::size_t{1} << 30;
constexpr std::size_t kSmallestChunk = std::size_t{16} << 20;

Error lost(const std::string& device, const std::string& doing, cudaError_t code) {
  return {"device.lost",
          device + ": " + doing + " failed: " + cudaGetErrorString(code) + " (" +
              std::to_string(static_cast<int>(code)) + ")",
          "the frames on it go back to Q1; other devices go on",
          "see nvidia-smi and dmesg for an XID; restart peaknetd"};
}

class CudaMemory final : public Memory {
 public:
  explicit CudaMemory(void* address) : address_(address) {}
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;
  ~CudaMemory() override { cudaFree(address_); }
  std::byte* address() const override { return static_cast<std::byte*>(address_); }

 private:
  void* address_;
};

// The slots, registered for direct access. Registers in chunks, halving them on failure; all or nothing.
class Registration {
 public:
  Registration() = default;
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() { undo(); }

  bool cover(std::span<std::byte> payload, std::size_t slot_bytes) {
    for (std::size_t most = kRegisterChunk; most >= kSmallestChunk; most /= 2) {
      chunk_ = std::max<std::size_t>(1, most / slot_bytes) * slot_bytes;
      if (try_chunks(payload, chunk_)) return true;
      undo();
    }
    return false;
  }
  std::size_t chunk() const { return chunk_; }

 private:
  bool try_chunks(std::span<std::byte> payload, std::size_t chunk) {
    for (std::size_t at = 0; at < payload.size(); at += chunk) {
      const std::size_t size = std::min(chunk, payload.size() - at);
      if (cudaHostRegister(payload.data() + at, size, cudaHostRegisterPortable) != cudaSuccess) {
        cudaGetLastError();  // a failed registration would show up as somebody else's error later
        return false;
      }
      parts_.push_back(payload.data() + at);
    }
    return true;
  }
  void undo() {
    for (std::byte* part : parts_) cudaHostUnregister(part);
    parts_.clear();
  }
  std::vector<std::byte*> parts_;
  std::size_t chunk_ = 0;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(std::string name, int index) : name_(std::move(name)), index_(index) {}
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice() override {
    cudaSetDevice(index_);
    for (cudaStream_t stream : streams_) {
      if (stream != nullptr) cudaStreamSynchronize(stream);
    }
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    for (cudaStream_t stream : streams_) {
      if (stream != nullptr) cudaStreamDestroy(stream);
    }
  }

  Status open() {
    note("selecting the device", cudaSetDevice(index_));
    int least = 0;
    int greatest = 0;
    note("asking for stream priorities", cudaDeviceGetStreamPriorityRange(&least, &greatest));
    // Transfers before computation: a copy engine that waits for a slot in the queue costs a whole batch.
    const std::array<int, kStreams> priorities = {greatest, least, greatest};
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      note("making a stream", cudaStreamCreateWithPriority(&streams_[i], cudaStreamNonBlocking, priorities[i]));
    }
    kernels_ = kernels::make_cuda_kernels();
    return health();
  }

  std::string name() const override { return name_; }
  std::string h2d_mode() const override { return registered_ ? "registered" : "staged"; }

  Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) override {
    registered_ = registration_.cover(payload, slot_bytes);
    payload_ = payload;
    return {};  // copies from memory that is not registered work too: the driver stages them
  }

  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override {
    void* address = nullptr;
    const cudaError_t code = cudaMalloc(&address, bytes);
    if (code == cudaSuccess) return std::unique_ptr<Memory>(new CudaMemory(address));
    cudaGetLastError();
    std::size_t free = 0;
    std::size_t total = 0;
    cudaMemGetInfo(&free, &total);
    return Error{"device.no-memory",
                 name_ + ": " + human_bytes(bytes) + " for a lane are not there, " + human_bytes(free) + " of " +
                     human_bytes(total) + " are free",
                 "no lane was changed", "a smaller engine.batch, or another device"};
  }

  MemoryFacts memory() const override {
    std::size_t free = 0;
    std::size_t total = 0;
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) return {};
    return {free, total};
  }

  Event make_event() override {
    cudaEvent_t event = nullptr;
    note("making an event", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    events_.push_back(event);
    return static_cast<Event>(events_.size() - 1);
  }
  void record(Event event, Stream stream) override {
    note("recording an event", cudaEventRecord(events_[event], handle(stream)));
  }
  void wait(Stream stream, Event event) override {
    note("ordering streams", cudaStreamWaitEvent(handle(stream), events_[event], 0));
  }
  bool done(Event event) override {
    const cudaError_t code = cudaEventQuery(events_[event]);
    if (code != cudaErrorNotReady) note("asking for an event", code);
    return code == cudaSuccess && failure_.ok();
  }
  void on_done(Event /*event*/, Stream stream, std::function<void()> notify) override {
    auto* boxed =
        new std::function<void()>(std::move(notify));  // freed by the callback, which the driver calls exactly once
    const auto call = [](void* argument) {
      const std::unique_ptr<std::function<void()>> owned(static_cast<std::function<void()>*>(argument));
      (*owned)();
    };
    const cudaError_t code = cudaLaunchHostFunc(handle(stream), call, boxed);
    if (code != cudaSuccess) delete boxed;
    note("asking to be told of an event", code);
  }

  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) override {
    Uploaded uploaded{{lane, images.bytes, lane_stride, images.count}, 0};
    for (std::uint32_t done = 0; done < images.count;) {
      const std::uint32_t some = std::min(images.count - done, up_to_chunk_end(images.image(done), images.stride));
      note("an upload", cudaMemcpy2DAsync(lane + done * lane_stride, lane_stride, images.image(done), images.stride,
                                          images.bytes, some, cudaMemcpyHostToDevice, handle(Stream::upload)));
      done += some;
      ++uploaded.transfers;
    }
    return uploaded;
  }
  std::uint64_t* result_place(std::span<std::uint64_t> /*slot*/, std::uint64_t* lane) override { return lane; }
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override {
    note("a download",
         cudaMemcpyAsync(slot.data(), place, slot.size_bytes(), cudaMemcpyDeviceToHost, handle(Stream::download)));
  }

  void compute(std::function<void(void* stream)> work) override {
    work(handle(Stream::compute));
    note("a kernel", cudaGetLastError());
  }
  kernels::Kernels& kernels() override { return *kernels_; }

  Status synchronize() override {
    for (cudaStream_t stream : streams_) note("synchronising", cudaStreamSynchronize(stream));
    return health();
  }
  Status health() override { return failure_; }
  bool let_go(std::chrono::nanoseconds at_most) override {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    cudaSetDevice(index_);
    // A stream of a lost context answers with the error at once: nothing of it runs any more.
    const auto busy = [](cudaStream_t stream) {
      return stream != nullptr && cudaStreamQuery(stream) == cudaErrorNotReady;
    };
    while (std::any_of(streams_.begin(), streams_.end(), busy)) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the driver has no wait with a time
    }
    return true;
  }

 private:
  // Images from this one on that lie in one registration.
  std::uint32_t up_to_chunk_end(const std::byte* image, std::size_t stride) const {
    if (!registered_ || stride == 0 || image < payload_.data() || image >= payload_.data() + payload_.size())
      return ~0U;
    const auto left = registration_.chunk() - static_cast<std::size_t>(image - payload_.data()) % registration_.chunk();
    return static_cast<std::uint32_t>((left + stride - 1) / stride);
  }
  cudaStream_t handle(Stream stream) const { return streams_[static_cast<std::size_t>(stream)]; }
  void note(const char* doing, cudaError_t code) {
    if (code != cudaSuccess && failure_.ok()) failure_ = lost(name_, doing, code);
  }

  std::string name_;
  int index_;
  Status failure_;  // the first one: what follows it is its consequence
  bool registered_ = false;
  std::span<std::byte> payload_;
  Registration registration_;
  std::unique_ptr<kernels::Kernels> kernels_;
  std::vector<cudaEvent_t> events_;
  std::array<cudaStream_t, kStreams> streams_{};
};

}  // namespace

std::vector<std::string> cuda_device_names() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return {};
  }
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("cuda:" + std::to_string(i));
  return names;
}

Result<std::unique_ptr<Device>> make_cuda_device(const std::string& name) {
  int index = -1;
  if (name.starts_with("cuda:")) std::from_chars(name.data() + std::strlen("cuda:"), name.data() + name.size(), index);
  if (index < 0) return Error{"device.unknown", "'" + name + "' names no CUDA device", "", "cuda:0, cuda:1, ..."};
  auto device = std::make_unique<CudaDevice>(name, index);
  if (auto opened = device->open(); !opened) return opened.error();
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace peaknet::device
