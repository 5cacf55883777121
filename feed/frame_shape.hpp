// Frame shape: how the frames of an array lie in a pool of [C,H,W].
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.hpp"
#include "shm/geometry.hpp"

namespace peaknet::feed {

// "[4,32,185,388]"
std::string shape_text(std::span<const std::uint64_t> dims);

// How many frames an array of this shape holds, one after the other and each contiguous; nullopt if none fits the pool:
//   (H,W) for C = 1, (C*H,W): one frame (for more panels one above the other, a "slab")
//   (C,H,W) for C > 1: one frame
//   (N,H,W) for C = 1, (N,C*H,W), (N,C,H,W): N frames
std::optional<std::uint64_t> frames_in(std::span<const std::uint64_t> dims, const shm::Geometry& geometry);

// Id frame.shape: `what` ("dataset /data of x.h5") has a shape that the pool cannot take.
Error shape_error(const std::string& what, std::span<const std::uint64_t> dims, const shm::Geometry& geometry);

}  // namespace peaknet::feed
