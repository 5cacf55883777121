// A Laboratory as bytes, for the ledger and for its digest in files. Pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cxi/laboratory.hpp"

namespace peaknet::writer {

std::vector<std::byte> encode(const Laboratory& laboratory);
// Nothing where the bytes make no sense.
std::optional<Laboratory> decode_laboratory(std::span<const std::byte> bytes);
// Files whose laboratories are the same have the same.
std::string digest_of(const Laboratory& laboratory);

}  // namespace peaknet::writer
