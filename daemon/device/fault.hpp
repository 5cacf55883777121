// Fault: what an error of a device or a model means for the frames behind it, by the id of the error. Pure; any thread.
//
//   frame      the work failed on what it was given (model.*): the frames are tried alone, one that fails alone is an
//              error result
//   transient  it may work the next time (device.transient): the same once more, a few times
//   memory     too large for the device now (device.no-memory): the same in smaller batches
//   device     nothing that is on the device can be believed any more (device.lost, device.stuck)
#pragma once

#include <cstdint>

#include "base/result.hpp"

namespace peaknet::device {

enum class Fault : std::uint8_t { frame, transient, memory, device };

inline Fault fault_of(const Error& error) {
  if (error.id == "device.transient") return Fault::transient;
  if (error.id == "device.no-memory") return Fault::memory;
  if (error.id.starts_with("device.")) return Fault::device;
  return Fault::frame;
}

}  // namespace peaknet::device
