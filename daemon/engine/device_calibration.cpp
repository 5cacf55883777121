#include "daemon/engine/device_calibration.hpp"

#include <span>
#include <utility>

namespace peaknet::engine {

Result<kernels::Calibration> DeviceCalibration::place(device::Device& device, const CalibrationData& data) {
  const auto place = [&](const auto& values) -> Result<const std::byte*> {
    const auto bytes = std::as_bytes(std::span(values));
    if (bytes.empty()) return static_cast<const std::byte*>(nullptr);
    auto memory = device.reserve(bytes.size());
    if (!memory) return memory.error();
    memory_.push_back(std::move(*memory));
    const device::ImageRun run{bytes.data(), bytes.size(), bytes.size(), 1};
    return device.upload(run, memory_.back()->address(), bytes.size()).images.first;
  };
  const auto pedestal = place(data.pedestal);
  if (!pedestal) return pedestal.error();
  const auto gain = place(data.gain);
  if (!gain) return gain.error();
  const auto bad = place(data.bad);
  if (!bad) return bad.error();
  return kernels::Calibration{reinterpret_cast<const float*>(*pedestal), reinterpret_cast<const float*>(*gain),
                              reinterpret_cast<const std::uint8_t*>(*bad)};
}

}  // namespace peaknet::engine
