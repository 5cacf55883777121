// Zfp: a chunk that HDF5's filter 32013 (H5Z-ZFP) has packed. The filter's values in the dataset's header hold the head
// of the zfp stream; the chunk is its rest.
//
// zfp itself trusts its input: it reads as far as the data tells it to. So it is given a copy, followed by as many
// zeros as it may ever want. Pure otherwise; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "feed/decoders/scratch.hpp"
#include "feed/sample_type.hpp"

namespace peaknet::feed {

// Unpacks a chunk into exactly `out`, numbers of `type`. `values`: the filter's. False if the data is damaged or is not
// this many numbers: what is in `out` is then of no use. Damage inside the stream itself does not show: zfp has no
// checksum.
bool unpack_zfp(std::span<const std::byte> packed, const std::vector<unsigned>& values, SampleType type,
                std::span<std::byte> out, Scratch& padded);

}  // namespace peaknet::feed
