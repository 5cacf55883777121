// Copies between host and devices: what the driver takes, what it refuses, and what it does.
#pragma once

#include "tests/gpusim/machine.hpp"

namespace peaknet::gpusim {

// `height` lines of `width` bytes, each side at its own distance.
struct Copy {
  std::uint64_t to, to_pitch, from, from_pitch, width, height;
  cudaMemcpyKind kind;
  bool to_device() const { return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice; }
  bool from_device() const { return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice; }
};

// Put the copy on the stream. A side that does not lie in one allocation or registration, or is not where `kind` says,
// is a finding and refused. An upload from pageable memory is taken at the call, as the driver does through memory of
// its own; `blocks` is set for a download to pageable memory, which the caller has to wait for. The mutex is held.
cudaError_t put_copy(Machine& machine, Stream& stream, const Copy& copy, bool& blocks);

}  // namespace peaknet::gpusim
