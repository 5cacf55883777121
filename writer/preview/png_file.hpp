// Writes a picture as PNG. The file appears under its name whole or not at all: it is written as NAME.part, synced and
// renamed; a crash leaves at most the .part, which the next try replaces.
#pragma once

#include <string>

#include "base/result.hpp"
#include "writer/preview/canvas.hpp"

namespace peaknet::writer {

// Replaces a file of that name. Error ids: "preview.write" (the system refused), "preview.encode" (libpng did).
Status write_png(const RgbImage& picture, const std::string& path);

}  // namespace peaknet::writer
