// CudaDevice: an NVIDIA GPU. Three non-blocking streams made once, slots registered with the driver so that copies go
// straight between them and the device (h2d_mode "registered", cuda_registrar.hpp). Where registration fails, and for
// all other memory, copies go through a pinned ring ("staged", staging_ring.hpp): a copy of ordinary memory would hold
// up the worker until the device has done it, and a device that hangs would not be noticed. So a device for which not
// even that ring can be pinned is refused.
//
// A copy that a dying process had under way may outlive it for a moment, so the lock that says "alive" must be opened
// after the CUDA context exists and is then closed after it: Worker::prepare makes the device before it attaches to the
// pool. Run on simulated CUDA (tests/gpusim) in every build; on a GPU not yet (README.md says what has run on what).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "daemon/device/cuda_registrar.hpp"
#include "daemon/device/device.hpp"

namespace peaknet::device {

// `registrar`: shared by the devices of a process, so that they register the same slots once; null: one of its own.
// `relieve`: what else keeps memory of this device for later gives it back; called before reserve() says that there is
// none.
// Errors: device.lost with what the driver said, device.too-old, device.no-pinned-memory. The calling thread is the
// worker of this device from now on.
Result<std::unique_ptr<Device>> make_cuda_device(const std::string& name,
                                                 std::shared_ptr<CudaRegistrar> registrar = nullptr,
                                                 std::function<void()> relieve = {});

}  // namespace peaknet::device
