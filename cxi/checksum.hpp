// A 32-bit checksum for what the writer must recognise again after a crash: ledger records and stored images.
//
// Four CRC-32C sums over every fourth 64-bit word, joined at the end with the rest and the length: a single CRC waits
// for its own last result, four keep the processor's CRC unit busy. Any one wrong burst of up to 32 bits is found;
// others are missed once in 4 billion. A private format: compare only sums made here. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace peaknet::writer {

std::uint32_t checksum(std::span<const std::byte> bytes);

// The same without the processor's instruction; for processors that lack it, and for tests.
std::uint32_t checksum_portable(std::span<const std::byte> bytes);

}  // namespace peaknet::writer
