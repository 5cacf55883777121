// HostDevice: the processor as a device. Each stream is a queue with a thread for its work, events are real, so the
// engine runs on it exactly as on a GPU. Images are read and results written in place, in the slots: nothing is copied,
// so a batch wakes the thread of the compute stream alone, which also calls who waits for its download.
#pragma once

#include <memory>

#include "daemon/device/device.hpp"

namespace peaknet::device {

std::unique_ptr<Device> make_host_device();

}  // namespace peaknet::device
