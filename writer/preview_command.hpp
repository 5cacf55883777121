// `peaknet-writer preview`: a picture of one event of a finished file.
#pragma once

#include <cstddef>
#include <filesystem>

#include "base/result.hpp"

namespace peaknet::writer {

struct PreviewRequest {
  std::filesystem::path file;
  std::size_t event = 0;           // counts from 0
  std::filesystem::path out;       // "": beside the file, name_event0.png
  std::filesystem::path geometry;  // "": the one that the file was made with, where it can be read
};

// The path of the picture. Errors: those of CxiReader and of write_png; of `geometry` where it is named. A geometry
// that is not named and cannot be used is remarked in the picture.
Result<std::filesystem::path> make_preview(const PreviewRequest& request);

}  // namespace peaknet::writer
