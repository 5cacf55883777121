#include "daemon/engine/lane_set.hpp"

#include <string>

#include "daemon/device/fault.hpp"

namespace peaknet::engine {

Status LaneSet::reserve(device::Device& device, const WorkerOptions& options, const shm::Geometry& geometry,
                        BatchPlan& plan, const DeviceReport& report) {
  const auto& layout = options.layout;
  const std::size_t row =
      std::size_t{layout.padded_height} * layout.padded_width * static_cast<std::size_t>(size_of(options.element));
  for (;;) {
    const Sizes sizes{.input = plan.rows_of_lane() * row,
                      .images = plan.largest() * lane_stride(geometry.image_bytes()),
                      .masks = plan.largest() * lane_stride(geometry.mask_bytes()),
                      .events = plan.largest(),
                      .panels = layout.panels};
    Status outcome = reserve_all(device, sizes);
    if (outcome.ok()) {
      clear_all(device, sizes);
      break;
    }
    release();
    if (device::fault_of(outcome.error()) != device::Fault::memory || plan.largest() == 1) return outcome;
    plan.lower(plan.rows_at_once(plan.largest()));
    report.shrank(outcome.error(), "the largest batch is now " + std::to_string(plan.largest()), plan);
  }
  for (auto& lane : lanes_) {
    lane->uploaded = device.make_event();
    lane->begun = device.make_event(true);
    lane->computed = device.make_event(true);
    lane->downloaded = device.make_event();
  }
  return {};
}

Status LaneSet::reserve_all(device::Device& device, const Sizes& sizes) {
  const auto reserve = [&](std::unique_ptr<device::Memory>& memory, std::size_t bytes) -> Status {
    auto reserved = device.reserve(bytes);
    if (!reserved) return reserved.error();
    memory = std::move(*reserved);
    return {};
  };
  if (auto reserved = reserve(input_, sizes.input); !reserved) return reserved;
  for (std::uint32_t i = 0; i < kMaxDepth; ++i) {
    auto lane = std::make_unique<Lane>();
    lane->index = i;
    if (auto reserved = reserve(lane->images, sizes.images); !reserved) return reserved;
    if (auto reserved = reserve(lane->masks, sizes.masks); !reserved) return reserved;
    auto findings = Findings::reserve(device, sizes.events, sizes.panels);
    if (!findings) return findings.error();
    lane->findings = std::move(*findings);
    lanes_.push_back(std::move(lane));
  }
  return {};
}

// What no frame has filled is read all the same: input by warm-up and as padding, a mask where the network failed.
void LaneSet::clear_all(device::Device& device, const Sizes& sizes) {
  device.clear(input_->address(), sizes.input);
  for (const auto& lane : lanes_) {
    device.clear(lane->masks->address(), sizes.masks);
    lane->findings.clear(device);
  }
}

Lane* LaneSet::free() const {
  if (!in_flight_.empty() && in_flight_.back()->batch.alone) return nullptr;
  const auto end = lanes_.begin() + depth();
  const auto found = std::find_if(lanes_.begin(), end, [](const auto& lane) { return !lane->in_flight(); });
  return found == end ? nullptr : found->get();
}

}  // namespace peaknet::engine
