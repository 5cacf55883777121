#include "daemon/device/marked_device.hpp"

namespace peaknet::device {
namespace {

// The driver waits for the device when memory is given back.
class MarkedMemory final : public Memory {
 public:
  MarkedMemory(std::unique_ptr<Memory> memory, std::shared_ptr<CallMark> mark)
      : mark_(std::move(mark)), memory_(std::move(memory)) {}
  MarkedMemory(const MarkedMemory&) = delete;
  MarkedMemory& operator=(const MarkedMemory&) = delete;
  ~MarkedMemory() override {
    const CallMark::Inside inside(*mark_, "giving memory back");
    memory_.reset();
  }
  std::byte* address() const override { return memory_->address(); }

 private:
  std::shared_ptr<CallMark> mark_;
  std::unique_ptr<Memory> memory_;
};

Result<std::unique_ptr<Memory>> marked(Result<std::unique_ptr<Memory>> memory, const std::shared_ptr<CallMark>& mark) {
  if (!memory) return memory;
  return std::unique_ptr<Memory>(new MarkedMemory(std::move(*memory), mark));
}

}  // namespace

Result<std::unique_ptr<Memory>> MarkedDevice::reserve(std::size_t bytes) {
  const CallMark::Inside inside(*mark_, "reserving memory");
  return marked(device_->reserve(bytes), mark_);
}

Result<std::unique_ptr<Memory>> MarkedDevice::reserve_on_host(std::size_t bytes) {
  const CallMark::Inside inside(*mark_, "reserving memory of the host");
  return marked(device_->reserve_on_host(bytes), mark_);
}

}  // namespace peaknet::device
