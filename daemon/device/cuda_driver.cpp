#include "daemon/device/cuda_driver.hpp"

#include <cuda_runtime_api.h>

namespace peaknet::device {
namespace {

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

// The one that the driver can run; 0.0: there is none.
int cuda_of_driver() {
  int number = 0;
  return cudaDriverGetVersion(&number) == cudaSuccess ? number : 0;
}

std::string remedy(cudaError_t code) {
  switch (code) {
    case cudaErrorInsufficientDriver:
      return "a newer NVIDIA driver: this one runs CUDA " + version(cuda_of_driver()) + ", peaknetd was built with " +
             version(CUDART_VERSION);
    case cudaErrorStubLibrary:
      return "take the toolkit's folder lib64/stubs off LD_LIBRARY_PATH";
    case cudaErrorDevicesUnavailable:
      return "nvidia-smi -q -d COMPUTE: another program has the device for itself";
    case cudaErrorInvalidDevice:
      return "correct CUDA_VISIBLE_DEVICES";
    case cudaErrorSystemNotReady:
      return "systemctl start nvidia-fabricmanager, and wait until it has started: GPUs that NVSwitch connects need it";
    case cudaErrorSystemDriverMismatch:
      return "load the kernel's module of the same release as the driver's library: reboot after an update of the "
             "driver";
    case cudaErrorCompatNotSupportedOnDevice:
      return "remove the package cuda-compat, or take its folder off LD_LIBRARY_PATH";
    case cudaErrorUnknown:
      return "nvidia-modprobe -u -c=0 as root: /dev/nvidia-uvm may be missing, or the unit's DeviceAllow does not name "
             "it";
    default:
      return "nvidia-smi, and dmesg for NVRM and Xid";
  }
}

}  // namespace

Result<std::vector<std::string>> cuda_device_names() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) cudaGetLastError();
  const bool no_driver = code == cudaErrorInsufficientDriver && cuda_of_driver() == 0;
  if (code == cudaErrorNoDevice || no_driver) return std::vector<std::string>{};
  if (code != cudaSuccess) {
    return Error{"device.driver",
                 std::string("the CUDA driver cannot say which devices there are: ") + cudaGetErrorString(code) + " (" +
                     std::to_string(static_cast<int>(code)) + ")",
                 "nothing was started", remedy(code) + "; or engine.devices: cpu, to do without GPUs"};
  }
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("cuda:" + std::to_string(i));
  return names;
}

}  // namespace peaknet::device
