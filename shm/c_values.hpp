// The values of the C ABI and ours, from one into the other. Pure; any thread. Internal to libpeaknet_shm.
#pragma once

#include <cstdint>

#include "shm/columns.hpp"
#include "shm/descriptor.hpp"
#include "shm/geometry.hpp"
#include "shm/peaknet_shm.h"
#include "shm/state_word.hpp"

namespace peaknet::shm::c_api {

peaknet_geometry to_c(const Geometry& geometry);
peaknet_descriptor to_c(const FrameDescriptor& from, std::uint64_t sequence, std::uint32_t attempts, SlotState state);
// PEAKNET_NOTHING where the table has no so many.
peaknet_status column_at(const ColumnTable& table, std::uint32_t index, peaknet_column& column);
peaknet_info info_of(const FrameDescriptor& from);
void apply(const peaknet_info& info, FrameDescriptor& to);

}  // namespace peaknet::shm::c_api
