// What peaknetctl doctor finds about the GPUs of this machine: driver, compute capability, memory to pin, NUMA, MIG,
// persistence, fabric manager (docs/install.md, "A node with GPUs").
//
// Asks nvidia-smi on PATH and /sys; no CUDA, so no device is taken. What cannot be learned is a finding "not known",
// not a good one. Threads: one. Errors: none, all are findings.
#pragma once

#include <string>
#include <vector>

#include "config/config.hpp"
#include "ctl/doctor.hpp"

namespace peaknet::ctl {

// Where the devices of this machine are seen; others for tests.
struct GpuPlaces {
  std::string driver_device = "/dev/nvidiactl";
  std::string driver_version = "/proc/driver/nvidia/version";
  std::string pci_devices = "/sys/bus/pci/devices";
};

std::vector<Finding> examine_gpus(const config::Config& config, const GpuPlaces& places = {});

}  // namespace peaknet::ctl
