// Graphs: work of the compute stream, recorded once and then replayed with one launch instead of one for each of its
// hundreds of kernels. Only devices that launch kernels have them (Device::graphs).
//
// What is recorded is fixed: the same addresses, the same shapes. So slots stay outside: counts -> the network's input,
// a replay of the network, logits -> bits; and there is one graph for each batch size. All calls come from inside
// Device::compute.
#pragma once

#include <memory>

#include "base/result.hpp"

namespace peaknet::device {

class Graph {
 public:
  virtual ~Graph() = default;
  // Errors: device.lost.
  virtual Status replay(void* stream) = 0;
};

class Graphs {
 public:
  virtual ~Graphs() = default;
  // From here to end() what is put on the stream is recorded and not done. One recording at a time in the process,
  // others wait. Errors: graph.refused; then end() must not be called.
  virtual Status begin(void* stream) = 0;
  // Errors: graph.refused with the cause: something was put on the stream that cannot be recorded. The stream works as
  // before.
  virtual Result<std::unique_ptr<Graph>> end(void* stream) = 0;
};

}  // namespace peaknet::device
