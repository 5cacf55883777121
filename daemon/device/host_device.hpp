// HostDevice: the processor as a device. Each stream is a thread with a queue, events are real, so the engine runs on
// it exactly as on a GPU. Images are read and results written in place, in the slots: nothing is copied.
#pragma once

#include <memory>

#include "daemon/device/device.hpp"

namespace peaknet::device {

std::unique_ptr<Device> make_host_device();

}  // namespace peaknet::device
