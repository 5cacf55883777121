// The pixels of one event, out of the file that holds them while it grows and when it is finished: a plain read at the
// place that a ledger or stored_events.hpp names, without HDF5. What was read is compared with its checksum.
//
// Threads: each with a StoredImages of its own.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.hpp"
#include "cxi/compression.hpp"
#include "cxi/event.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::writer {

class StoredImages {
 public:
  // The slab, row by row. Errors: image.absent (the file keeps none), image.damaged, and those of the disk.
  Result<std::vector<std::byte>> read(const PosixFile& file, const FileFacts& facts, const StoredEvent& stored);

 private:
  BitshuffleLz4 codec_;
};

}  // namespace peaknet::writer
