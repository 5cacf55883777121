// Lane: one batch on its way through a device, with the memory it needs there. A worker has several, so that the upload
// of one batch, the computation of another and the download of a third overlap (N-way buffering). What belongs to a
// frame stays in its slot; a lane holds nothing but the right to the slots.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/findings.hpp"
#include "daemon/engine/retry_queue.hpp"
#include "daemon/model/recorded_model.hpp"
#include "shm/consumer.hpp"

namespace peaknet::engine {

using FrameBatch = BasicFrameBatch<shm::HeldFrame>;

struct Lane {
  std::uint32_t index = 0;

  // Made once, for the largest bucket.
  std::unique_ptr<device::Memory> images;  // raw images, where the device cannot read the slots
  std::unique_ptr<device::Memory> masks;   // bit masks, where the device cannot write the slots
  Findings findings;                       // read after `downloaded`
  device::Event uploaded = 0, begun = 0, computed = 0, downloaded = 0;  // `begun` and `computed` with their times

  // Of the batch in flight; empty otherwise. The vectors of addresses stay unchanged while the device may read them.
  FrameBatch batch;
  // That makes its results, also when another has taken its place meanwhile.
  std::shared_ptr<model::RecordedModel> model;
  std::uint64_t model_number = 0;  // which the frames carry
  std::uint32_t bucket = 0;
  std::uint32_t rows = 0;    // that the network gets at once
  std::uint32_t passes = 1;  // runs of the network: more than one for an event that is split
  std::vector<const std::byte*> events;
  std::vector<std::uint64_t*> places;
  std::vector<std::uint64_t*> parts;             // where the masks of each pass begin, of an event that is split
  Status outcome;                                // set on the compute stream, read after `downloaded`
  std::optional<std::chrono::nanoseconds> busy;  // likewise, by the clock of the host; nothing: ask the device

  bool in_flight() const { return !batch.frames.empty(); }
};

}  // namespace peaknet::engine
