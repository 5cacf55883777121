// DeviceCalibration: the operator's pedestal, gain and bad pixels in the memory of a device, where the kernels read
// them.
//
// Threads: the worker's. Errors: device.no-memory. After a crash: nothing is left.
#pragma once

#include <memory>
#include <vector>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::engine {

class DeviceCalibration {
 public:
  // Puts the values on the device's upload stream and returns where the kernels find them once that is done. `data`
  // stays unchanged until then; what lies on the device stays until clear().
  Result<kernels::Calibration> place(device::Device& device, const CalibrationData& data);
  // Precondition: no kernel uses it any more.
  void clear() { memory_.clear(); }

 private:
  std::vector<std::unique_ptr<device::Memory>> memory_;
};

}  // namespace peaknet::engine
