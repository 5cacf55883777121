// What the CUDA driver of this machine says of itself. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::device {

// "cuda:0", "cuda:1", ... of the devices that there are; empty where there is no driver, or a driver without a device.
// Errors: device.driver, where there is a driver that cannot say it, with its number and what to do about it.
Result<std::vector<std::string>> cuda_device_names();

}  // namespace peaknet::device
