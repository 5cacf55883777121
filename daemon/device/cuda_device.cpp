#include "daemon/device/cuda_device.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/text.hpp"
#include "daemon/device/cuda_errors.hpp"
#include "daemon/device/cuda_graphs.hpp"
#include "daemon/device/cuda_host_call.hpp"
#include "daemon/device/cuda_registrar.hpp"
#include "daemon/device/cuda_staging.hpp"
#include "daemon/device/pinned_memory.hpp"
#include "daemon/kernels/cuda_kernels.hpp"

namespace peaknet::device {
namespace {

constexpr int kLeastMajor = 8;  // of the compute capability

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

// How many devices of this process have not let go of a GPU. Whoever frees memory there waits for all that is on it,
// also for what another of them put there: while one hangs none of them may be taken down, and none is made.
std::atomic<int>& unsettled_on(int gpu) {
  static std::array<std::atomic<int>, 64> counts;
  return counts[static_cast<std::size_t>(gpu) % counts.size()];
}

class CudaDevice final : public Device {
 public:
  CudaDevice(std::string name, int index, std::shared_ptr<CudaRegistrar> registrar, std::function<void()> relieve)
      : name_(std::move(name)),
        index_(index),
        relieve_(std::move(relieve)),
        registrar_(std::move(registrar)),
        graphs_(name_) {}
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice() override {
    settle(true);
    cudaSetDevice(index_);
    for (cudaStream_t stream : streams_) {
      if (stream != nullptr) cudaStreamSynchronize(stream);
    }
    staging_.reset();
    for (cudaEvent_t event : events_) {
      if (event != nullptr) cudaEventDestroy(event);
    }
    for (cudaStream_t stream : streams_) {
      if (stream != nullptr) cudaStreamDestroy(stream);
    }
  }

  Status open() {
    if (unsettled_on(index_).load() > 0) {
      return Error{"device.stuck", name_ + ": what this process put on it before has not come to an end",
                   "this device is not used", "restart peaknetd; see nvidia-smi and dmesg (Xid)"};
    }
    note("selecting the device", cudaSetDevice(index_));
    if (auto able = check_capability(); !able) return able;
    int least = 0;
    int greatest = 0;
    note("asking for stream priorities", cudaDeviceGetStreamPriorityRange(&least, &greatest));
    // Transfers before computation: a copy engine that waits for a slot in the queue costs a whole batch.
    const std::array<int, kStreams> priorities = {greatest, least, greatest};
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      note("making a stream", cudaStreamCreateWithPriority(&streams_[i], cudaStreamNonBlocking, priorities[i]));
    }
    if (!failure_.ok()) return failure_;
    auto staging = CudaStaging::open(name_, handle(Stream::upload), handle(Stream::download), calls_);
    if (!staging) return staging.error();
    staging_ = std::move(*staging);
    kernels_ = kernels::make_cuda_kernels();
    return {};
  }

  std::string name() const override { return name_; }
  std::string h2d_mode() const override { return registration_ ? "registered" : "staged"; }

  Status adopt_payload(std::span<std::byte> payload, std::size_t slot_bytes) override {
    auto registration = registrar_->cover(payload, slot_bytes);
    if (registration) {
      registration_ = std::move(*registration);
    } else {
      detour_ = registration.error();
      detour_->what = name_ + ": " + detour_->what;
    }
    return health();
  }
  std::optional<Error> detour() const override { return detour_; }

  Result<std::unique_ptr<Memory>> reserve(std::size_t bytes) override {
    void* address = nullptr;
    cudaError_t code = cudaMalloc(&address, bytes);
    if (code == cudaErrorMemoryAllocation && relieve_) {
      cudaGetLastError();
      relieve_();
      code = cudaMalloc(&address, bytes);
    }
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

  Result<std::unique_ptr<Memory>> reserve_on_host(std::size_t bytes) override {
    void* address = nullptr;
    if (const auto code = cudaHostAlloc(&address, bytes, cudaHostAllocPortable); code != cudaSuccess) {
      cudaGetLastError();
      return no_pinned_memory(name_, bytes, code);
    }
    std::memset(address, 0, bytes);
    return std::unique_ptr<Memory>(new PinnedMemory(address, bytes, pinned_));
  }

  MemoryFacts memory() const override {
    std::size_t free = 0;
    std::size_t total = 0;
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) return {};
    return {free, total};
  }

  using Device::make_event;
  Event make_event(bool timed) override {
    cudaEvent_t event = nullptr;
    note("making an event", cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming));
    if (spare_.empty()) {
      events_.push_back(event);
      return static_cast<Event>(events_.size() - 1);
    }
    const Event place = spare_.back();
    spare_.pop_back();
    events_[place] = event;
    return place;
  }
  void free_event(Event event) override {
    note("giving an event back", cudaEventDestroy(std::exchange(events_[event], nullptr)));
    spare_.push_back(event);
  }
  std::optional<std::chrono::nanoseconds> elapsed(Event from, Event to) override {
    float milliseconds = 0;
    const cudaError_t code = cudaEventElapsedTime(&milliseconds, events_[from], events_[to]);
    note("asking for a time", code);
    if (code != cudaSuccess) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(1e6 * static_cast<double>(milliseconds)));
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
    note("asking to be told of an event", call_on_stream(handle(stream), calls_, std::move(notify)));
  }

  Uploaded upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) override {
    const bool whole = pinned(images.first);
    if (!whole && !registered(images.first)) {
      const auto staged = staging_->upload(images, lane, lane_stride);
      note("a staged upload", staging_->take_error());
      return staged;
    }
    Uploaded uploaded{{lane, images.bytes, lane_stride, images.count}, 0};
    for (std::uint32_t done = 0; done < images.count;) {
      const std::uint32_t left = images.count - done;
      const std::uint32_t some =
          whole ? left : std::min(left, registration_->up_to_chunk_end(images.image(done), images.stride));
      note("an upload", cudaMemcpy2DAsync(lane + done * lane_stride, lane_stride, images.image(done), images.stride,
                                          images.bytes, some, cudaMemcpyHostToDevice, handle(Stream::upload)));
      done += some;
      ++uploaded.transfers;
    }
    return uploaded;
  }
  std::uint64_t* result_place(std::span<std::uint64_t> /*slot*/, std::uint64_t* lane) override { return lane; }
  void download(const std::uint64_t* place, std::span<std::uint64_t> slot) override {
    if (!registered(slot.data()) && !pinned(slot.data())) {
      staging_->download(place, slot);
      note("a staged download", staging_->take_error());
      return;
    }
    note("a download",
         cudaMemcpyAsync(slot.data(), place, slot.size_bytes(), cudaMemcpyDeviceToHost, handle(Stream::download)));
  }

  void compute(std::function<void(void* stream)> work) override {
    work(handle(Stream::compute));
    note("a kernel", cudaGetLastError());
  }
  void clear(std::byte* memory, std::size_t bytes) override {
    note("clearing memory", cudaMemsetAsync(memory, 0, bytes, handle(Stream::compute)));
  }
  kernels::Kernels& kernels() override { return *kernels_; }
  Graphs* graphs() override { return &graphs_; }

  bool idle_within(std::chrono::nanoseconds at_most) override {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    const auto busy = [this](cudaStream_t stream) {
      const cudaError_t code = stream == nullptr ? cudaSuccess : cudaStreamQuery(stream);
      if (code != cudaErrorNotReady) note("waiting for a stream", code);
      return code == cudaErrorNotReady;
    };
    while (std::any_of(streams_.begin(), streams_.end(), busy) || busy(staging_->stream())) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      std::this_thread::sleep_for(kPoll);
    }
    return true;
  }
  Status health() override { return failure_; }
  bool release(std::chrono::nanoseconds at_most) override {
    settle(quiet_within(at_most));
    return settled_ && unsettled_on(index_).load() == 0;
  }

 private:
  static constexpr std::chrono::milliseconds kPoll{1};  // the driver has no wait with a time
  static constexpr std::chrono::seconds kGrace{1};      // of a copy that a lost device has under way: it takes < 0.1 s

  void settle(bool settled) {
    if (std::exchange(settled_, settled) != settled) unsettled_on(index_).fetch_add(settled ? -1 : 1);
  }
  bool quiet_within(std::chrono::nanoseconds at_most) {
    cudaSetDevice(index_);
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    if (!idle_within(at_most)) return false;
    if (failure_.ok()) return true;
    // A stream of a lost context answers with the error at once, while a copy or a host function that had begun may
    // still be under way. The driver tells of no end, so the device keeps everything for a time.
    if (!lost_since_) lost_since_ = std::chrono::steady_clock::now();
    const auto quiet = [&] {
      return std::chrono::steady_clock::now() - *lost_since_ >= kGrace && calls_->under_way.load() == 0;
    };
    while (!quiet()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      std::this_thread::sleep_for(kPoll);
    }
    return true;
  }

  // The kernels are compiled for no older ones (CMAKE_CUDA_ARCHITECTURES), and would fail at their first launch.
  Status check_capability() {
    int major = 0;
    int minor = 0;
    note("asking what it can", cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index_));
    note("asking what it can", cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index_));
    if (!failure_.ok() || major >= kLeastMajor) return failure_;
    cudaDeviceProp properties{};
    note("asking for its name", cudaGetDeviceProperties(&properties, index_));
    return Error{"device.too-old",
                 name_ + " (" + properties.name + ") has compute capability " + std::to_string(major) + "." +
                     std::to_string(minor) + ", peaknetd needs " + std::to_string(kLeastMajor) + ".0 or later",
                 "this device is not used", "name the other devices in engine.devices, or cpu"};
  }
  bool registered(const void* address) const { return registration_ && registration_->covers(address); }
  bool pinned(const void* address) const { return PinnedMemory::covers(*pinned_, address); }
  cudaStream_t handle(Stream stream) const { return streams_[static_cast<std::size_t>(stream)]; }
  void note(const char* doing, cudaError_t code) {
    if (code != cudaSuccess && failure_.ok()) failure_ = lost(name_, doing, code);
  }

  std::string name_;
  int index_;
  bool settled_ = true;  // nothing of it is on the GPU, as far as it was asked
  std::function<void()> relieve_;
  Status failure_;  // the first one: what follows it is its consequence
  std::optional<std::chrono::steady_clock::time_point> lost_since_;
  std::shared_ptr<HostCalls> calls_ = std::make_shared<HostCalls>();
  std::shared_ptr<CudaRegistrar> registrar_;
  std::shared_ptr<const CudaRegistration> registration_;  // of the slots; null: not to be had, or not asked for yet
  std::optional<Error> detour_;
  std::shared_ptr<PinnedMemory::All> pinned_ = std::make_shared<PinnedMemory::All>();
  std::unique_ptr<CudaStaging> staging_;
  CudaGraphs graphs_;
  std::unique_ptr<kernels::Kernels> kernels_;
  std::vector<cudaEvent_t> events_;  // by number; null where it was given back
  std::vector<Event> spare_;         // numbers of those
  std::array<cudaStream_t, kStreams> streams_{};
};

}  // namespace

Result<std::unique_ptr<Device>> make_cuda_device(const std::string& name, std::shared_ptr<CudaRegistrar> registrar,
                                                 std::function<void()> relieve) {
  int index = -1;
  if (name.starts_with("cuda:")) std::from_chars(name.data() + std::strlen("cuda:"), name.data() + name.size(), index);
  if (index < 0) return Error{"device.unknown", "'" + name + "' names no CUDA device", "", "cuda:0, cuda:1, ..."};
  if (registrar == nullptr) registrar = std::make_shared<CudaRegistrar>();
  auto device = std::make_unique<CudaDevice>(name, index, std::move(registrar), std::move(relieve));
  if (auto opened = device->open(); !opened) return opened.error();
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace peaknet::device
