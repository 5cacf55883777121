// CudaDevice: an NVIDIA GPU. Three non-blocking streams made once, events without timing, slots registered with the
// driver so that copies go straight between them and the device (h2d_mode "registered"); where registration fails,
// through a pinned ring ("staged", staging_ring.hpp), and without pinned memory as the driver can ("pageable").
//
// A copy that a dying process had under way may outlive it for a moment, so the lock that says "alive" must be opened
// after the CUDA context exists and is then closed after it: Worker::prepare makes the device before it attaches to the
// pool. Not measured: written, compiled and linked without a device at hand (docs/benchmarks.md says what has been
// run).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/device/device.hpp"

namespace peaknet::device {

// "cuda:0", "cuda:1", ... of the devices that answer; empty where there is no driver or no device.
std::vector<std::string> cuda_device_names();

// Errors: device.lost with what the driver said. The calling thread is the worker of this device from now on.
Result<std::unique_ptr<Device>> make_cuda_device(const std::string& name);

}  // namespace peaknet::device
