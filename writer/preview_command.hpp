// `peaknet-writer preview FILE`: a picture of one event of a finished CXI file, with a ring around each peak.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"

namespace peaknet::writer {

struct PreviewRequest {
  std::string file;       // a finished CXI file
  std::size_t event = 0;  // its row
  std::string out;        // PNG to write; "": beside the file, <file>.<event>.png
};

// Returns the path of the picture. Errors: those of CxiReader and of write_png.
Result<std::string> write_preview(const PreviewRequest& request);

}  // namespace peaknet::writer
