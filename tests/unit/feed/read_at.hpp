// What survey_hdf5 reads a message through, over a message in memory: in the feed its bytes come to the sandbox from
// elsewhere.
#pragma once

#include <cstring>

#include "feed/decoders/sandbox.hpp"

namespace peaknet::test {

// Reads from `message`, which must outlive it, and refuses whatever lies beyond.
inline feed::Sandbox::ReadAt reader_of(std::span<const std::byte> message) {
  return [message](std::uint64_t offset, std::span<std::byte> out) {
    if (offset > message.size() || out.size() > message.size() - offset) return false;
    std::memcpy(out.data(), message.data() + offset, out.size());
    return true;
  };
}

}  // namespace peaknet::test
