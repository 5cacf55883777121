// Sound bytes changed at random, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace peaknet::test {

// A file of another length is refused by its first page alone.
enum class Length : std::uint8_t { changes, stays };

// One to eight changes: bits, bytes that parsers trip over; runs cut out or repeated, an end that is missing.
std::vector<std::byte> mutate(std::vector<std::byte> bytes, std::mt19937& random, Length length = Length::changes);

}  // namespace peaknet::test
