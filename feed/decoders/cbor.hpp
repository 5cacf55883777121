// CBOR: the one map that a Simplon message is. Values refer to the message; nothing is copied and no memory is taken
// for what the message claims (libcbor's streaming decoder finds the items, one after the other).
//
// Any thread. Errors: simplon.damaged, and simplon.unsupported for items of open length, which no known sender writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <variant>

#include "base/result.hpp"

namespace peaknet::feed {

// monostate: null, a boolean, or something with items of its own (a map, an array), which is skipped.
using CborValue =
    std::variant<std::monostate, std::uint64_t, std::int64_t, double, std::string_view, std::span<const std::byte>>;
using CborMap = std::map<std::string_view, CborValue>;

// The map of text keys that fills `message` exactly. At most 256 keys, 16 levels and 2^24 items.
Result<CborMap> read_cbor_map(std::span<const std::byte> message);

}  // namespace peaknet::feed
