// Placement: what a geometry file says of the frames of a detector: where each panel lies in the data array of a file,
// and which pixels are no data.
//
// A panel of a frame is one panel of the geometry, or several (the ASICs of a module). Which one it is:
// - Where the boxes of the geometry's panels lie on a grid of the frame's panels, their boxes alone say it, in whatever
//   order the file lists them: down a column, or along a row. On a grid of several columns and rows the list, or the
//   order of the names, says whether panels are counted along the columns or along the rows.
// - Elsewhere panels are taken in the order of the file, each from the panels that follow each other there and fill it.
//   Where that is the order of no row and no column, it may be another than the frame's, which is remarked.
//
// Bad are the pixels of the bad regions, and those that lie in no panel of the file: a module or an ASIC that somebody
// took out. Such modules are remarked.
//
// Pure functions. Errors: geometry.does-not-fit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cxi/crystfel_geometry.hpp"
#include "cxi/slab.hpp"

namespace peaknet::writer {

struct Placement {
  SlabLayout slab;
  std::vector<std::uint64_t> bad;    // bits of a frame, laid out as its mask is; empty: all pixels are good
  std::vector<std::string> remarks;  // what its owner should look at
};

// For frames of `panels` x `height` x `width`. A file that has less than three quarters of their pixels, and not more
// than half of their panels as wholes, is taken for that of another detector.
Result<Placement> place_panels(const CrystfelGeometry& geometry, std::uint32_t panels, std::uint32_t height,
                               std::uint32_t width);

}  // namespace peaknet::writer
