// Writes a picture as PNG. The file appears under its name whole or not at all: it is written as NAME.part, synced and
// renamed; a crash leaves at most the .part, which the next try replaces.
#pragma once

#include <string>

#include "base/result.hpp"
#include "imaging/canvas.hpp"

namespace peaknet::imaging {

// Replaces a file of that name. Errors: preview.write (the system refused), picture.not-made.
Status write_png(const Canvas& picture, const std::string& path);

}  // namespace peaknet::imaging
