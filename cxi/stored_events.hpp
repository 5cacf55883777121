// The events of a finished file as its ledger had them: with the place of each image, so that images of finished and of
// growing files are read in one way (stored_image.hpp). The reverse of tables.hpp.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "cxi/ledger.hpp"

namespace peaknet::writer {

// Rows in the order of the file. Of the facts only those that say how images are stored and whose they are; the bad
// pixels are those of read_slab_mask(). Errors: cxi.not-readable, for a file that is not a finished one of ours.
Result<LedgerContents> read_stored_events(const std::filesystem::path& path);

// The mask of a finished file, row by row. Errors: cxi.not-readable.
Result<std::vector<std::uint16_t>> read_slab_mask(const std::filesystem::path& path);

}  // namespace peaknet::writer
