#include "cxi/placement.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <optional>

namespace peaknet::writer {
namespace {

// Of these a file can be read by the geometry: our images lie there, with these dimensions.
constexpr const char* kImages = "/entry_1/data_1/data";
constexpr std::uint64_t kMostEmpty = 4;  // a slab has at most this many times the pixels of a frame

struct Frame {
  std::uint32_t panels, height, width;
  std::uint64_t panel_pixels() const { return std::uint64_t{height} * width; }
  std::uint64_t pixels() const { return panels * panel_pixels(); }
};

bool overlap(const GeometryPanel& a, const GeometryPanel& b) {
  return a.min_fs <= b.max_fs && b.min_fs <= a.max_fs && a.min_ss <= b.max_ss && b.min_ss <= a.max_ss;
}

std::string size_text(std::uint64_t height, std::uint64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

// "" if a file of ours can be read by this panel's keys, else what hinders it.
std::string unreadable(const GeometryPanel& panel) {
  if (panel.data != kImages) {
    return "it takes panel " + panel.name + " from '" + panel.data + "'; our images are in 'data = " + kImages + "'";
  }
  const std::map<int, std::string> ours = {{0, "%"}, {1, "ss"}, {2, "fs"}};
  if (panel.dim != ours) {
    return "panel " + panel.name +
           " does not lie in an array of events, rows and columns; ours needs 'dim0 = %', 'dim1 = ss', 'dim2 = fs'";
  }
  return "";
}

// "" or why no file of ours can be read by the geometry.
std::string unreadable(const CrystfelGeometry& geometry) {
  for (std::size_t i = 0; i < geometry.panels.size(); ++i) {
    if (std::string why = unreadable(geometry.panels[i]); !why.empty()) return why;
    for (std::size_t k = i + 1; k < geometry.panels.size(); ++k) {
      if (overlap(geometry.panels[i], geometry.panels[k]))
        return "its panels " + geometry.panels[i].name + " and " + geometry.panels[k].name + " overlap";
    }
  }
  return "";
}

// Names as people order them: "p2" before "p10".
bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  std::size_t i = 0;
  std::size_t k = 0;
  while (i < a.size() && k < b.size()) {
    if (!digit(a[i]) || !digit(b[k])) {
      if (a[i] != b[k]) return a[i] < b[k];
      ++i;
      ++k;
      continue;
    }
    const auto number = [&](const std::string& text, std::size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const std::size_t begin = at;
      while (at < text.size() && digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string one = number(a, i);
    const std::string other = number(b, k);
    if (one.size() != other.size()) return one.size() < other.size();
    if (one != other) return one < other;
  }
  return a.size() - i < b.size() - k;
}

// A cell of the grid of a frame's panels.
struct Cell {
  std::uint32_t row, column;
  bool operator==(const Cell&) const = default;
};

// Where the panel lies, if it lies in one cell.
std::optional<Cell> cell_of(const GeometryPanel& panel, const Frame& frame) {
  const Cell first{panel.min_ss / frame.height, panel.min_fs / frame.width};
  const Cell last{panel.max_ss / frame.height, panel.max_fs / frame.width};
  return first == last ? std::optional(first) : std::nullopt;
}

// Do the numbers of the cells, in this order of the geometry's panels, never fall? Those of one module are the same.
template <class Number>
bool ascending(const std::vector<Cell>& cells, const std::vector<std::size_t>& order, Number&& number) {
  return std::is_sorted(order.begin(), order.end(),
                        [&](std::size_t a, std::size_t b) { return number(cells[a]) < number(cells[b]); });
}

SlabLayout grid(const Frame& frame, std::uint32_t rows, std::uint32_t columns, bool along_columns) {
  SlabLayout slab{rows * frame.height, columns * frame.width, {}};
  for (std::uint32_t panel = 0; panel < frame.panels; ++panel) {
    const Cell cell = along_columns ? Cell{panel % rows, panel / rows} : Cell{panel / columns, panel % columns};
    slab.places.push_back({cell.row * frame.height, cell.column * frame.width});
  }
  return slab;
}

// Nothing where the boxes do not lie on a grid, or nothing tells how panels are counted on it.
std::optional<Placement> place_on_grid(const CrystfelGeometry& geometry, const Frame& frame) {
  std::vector<Cell> cells;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  for (const GeometryPanel& panel : geometry.panels) {
    const auto cell = cell_of(panel, frame);
    if (!cell) return std::nullopt;
    rows = std::max(rows, cell->row + 1);
    columns = std::max(columns, cell->column + 1);
    cells.push_back(*cell);
  }
  // The last modules of a single column or row may be missing.
  if (columns == 1 && rows <= frame.panels) {
    rows = frame.panels;
  } else if (rows == 1 && columns <= frame.panels) {
    columns = frame.panels;
  } else if (std::uint64_t{rows} * columns != frame.panels) {
    return std::nullopt;
  }
  const auto down = [&](const Cell& cell) { return std::uint64_t{cell.column} * rows + cell.row; };
  const auto across = [&](const Cell& cell) { return std::uint64_t{cell.row} * columns + cell.column; };
  std::vector<std::size_t> listed(cells.size());
  std::iota(listed.begin(), listed.end(), std::size_t{0});
  std::vector<std::size_t> named = listed;
  std::stable_sort(named.begin(), named.end(), [&](std::size_t a, std::size_t b) {
    return natural_less(geometry.panels[a].name, geometry.panels[b].name);
  });
  Placement placed;
  if (ascending(cells, listed, down)) {
    placed.slab = grid(frame, rows, columns, true);
  } else if (ascending(cells, listed, across)) {
    placed.slab = grid(frame, rows, columns, false);
  } else {
    const bool one_line = rows == 1 || columns == 1;
    const bool named_down = ascending(cells, named, down);
    if (!one_line && !named_down && !ascending(cells, named, across)) return std::nullopt;
    placed.slab = grid(frame, rows, columns, named_down || columns == 1);
    placed.remarks.push_back(geometry.source +
                             " lists its panels in another order than that of their boxes: each panel of a frame is "
                             "placed by its box");
  }
  return placed;
}

// Panels of the geometry that follow each other, do not overlap, and together have the pixels of a box fill it.
struct Module {
  GeometryPanel box;
  std::string first, last;
  std::uint64_t pixels = 0;
};

Module next_module(const CrystfelGeometry& geometry, std::size_t& next, const Frame& frame) {
  Module module{geometry.panels[next], geometry.panels[next].name, "", 0};
  while (next < geometry.panels.size() && module.pixels < frame.panel_pixels()) {
    const GeometryPanel& part = geometry.panels[next++];
    module.pixels += std::uint64_t{part.height()} * part.width();
    module.box.min_fs = std::min(module.box.min_fs, part.min_fs);
    module.box.max_fs = std::max(module.box.max_fs, part.max_fs);
    module.box.min_ss = std::min(module.box.min_ss, part.min_ss);
    module.box.max_ss = std::max(module.box.max_ss, part.max_ss);
    module.last = part.name;
  }
  return module;
}

// In the order of the file. Errors: what does not fit.
Result<Placement> place_as_listed(const CrystfelGeometry& geometry, const Frame& frame) {
  Placement placed;
  SlabLayout& slab = placed.slab;
  std::string order;
  for (std::size_t next = 0; next < geometry.panels.size();) {
    const Module module = next_module(geometry, next, frame);
    const GeometryPanel& box = module.box;
    if (module.pixels != frame.panel_pixels() || box.height() != frame.height || box.width() != frame.width) {
      return Error{"",
                   "its panels from " + module.first + " to " + module.last + " (" + std::to_string(module.pixels) +
                       " pixels in a box of " + size_text(box.height(), box.width()) + ") do not make panel " +
                       std::to_string(slab.places.size()) + " of the frame",
                   "", ""};
    }
    if (slab.places.size() < 3) order += (order.empty() ? "" : ", ") + module.first;
    slab.places.push_back({box.min_ss, box.min_fs});
    slab.height = std::max(slab.height, box.max_ss + 1);
    slab.width = std::max(slab.width, box.max_fs + 1);
  }
  if (slab.places.size() != frame.panels)
    return Error{"", "it has " + std::to_string(slab.places.size()) + " panels of that size", "", ""};
  if (std::uint64_t{slab.height} * slab.width > kMostEmpty * frame.pixels())
    return Error{"", "most of its " + size_text(slab.height, slab.width) + " pixels belong to no panel", "", ""};
  const auto sorted = [&](auto&& key) {
    return std::is_sorted(slab.places.begin(), slab.places.end(),
                          [&](const PanelPlace& a, const PanelPlace& b) { return key(a) < key(b); });
  };
  if (!sorted([](const PanelPlace& place) { return std::pair(place.y, place.x); }) &&
      !sorted([](const PanelPlace& place) { return std::pair(place.x, place.y); })) {
    placed.remarks.push_back(geometry.source +
                             " lists its panels in the order of no rows and no columns of their boxes, and they are "
                             "taken in this order (" +
                             order + (slab.places.size() > 3 ? ", ..." : "") +
                             "): see that the frame has its panels in the same one");
  }
  return placed;
}

// Whether each pixel of a frame is bad: one in no panel of the geometry, or in a bad region.
class BadBits {
 public:
  BadBits(const CrystfelGeometry& geometry, const Frame& frame, const SlabLayout& slab)
      : geometry_(geometry),
        frame_(frame),
        slab_(slab),
        words_per_row_((std::size_t{frame.width} + 63) / 64),
        bits_(words_per_row_ * frame.height * frame.panels, ~std::uint64_t{0}) {
    for (std::uint32_t panel = 0; panel < frame.panels; ++panel) in_panel_.push_back(cover(panel));
    for (std::size_t word = words_per_row_; frame.width % 64 != 0 && word <= bits_.size(); word += words_per_row_)
      bits_[word - 1] &= (std::uint64_t{1} << frame.width % 64) - 1;
  }

  // How many pixels of each panel of a frame lie in a panel of the geometry.
  const std::vector<std::uint64_t>& in_panel() const { return in_panel_; }
  std::uint64_t bad() const { return frame_.pixels() - good_; }
  std::vector<std::uint64_t> take() { return std::move(bits_); }

 private:
  // Clears the bits of what the panels of the geometry have of one panel of a frame, but for their bad regions.
  std::uint64_t cover(std::uint32_t panel) {
    std::uint64_t covered = 0;
    const PanelPlace& place = slab_.places[panel];
    for (const GeometryPanel& part : geometry_.panels) {
      const bool inside = part.min_ss >= place.y && part.max_ss < place.y + frame_.height && part.min_fs >= place.x &&
                          part.max_fs < place.x + frame_.width;
      if (!inside) continue;
      covered += std::uint64_t{part.height()} * part.width();
      const auto regions = regions_of(part);
      for (std::uint32_t row = part.min_ss; row <= part.max_ss; ++row) {
        std::uint64_t* const words =
            bits_.data() + (std::size_t{panel} * frame_.height + row - place.y) * words_per_row_;
        for (std::uint32_t column = part.min_fs; column <= part.max_fs; ++column) {
          const bool bad = std::any_of(regions.begin(), regions.end(),
                                       [&](const BadRegion* region) { return region->holds(part, column, row); });
          if (bad) continue;
          const std::uint32_t x = column - place.x;
          words[x / 64] &= ~(std::uint64_t{1} << x % 64);
          ++good_;
        }
      }
    }
    return covered;
  }

  // Those that may hold a pixel of the panel.
  std::vector<const BadRegion*> regions_of(const GeometryPanel& part) const {
    std::vector<const BadRegion*> found;
    for (const BadRegion& region : geometry_.bad) {
      if (!region.panel.empty() && region.panel != part.name) continue;
      const bool apart = region.in_array ? region.max_fs < part.min_fs || region.min_fs > part.max_fs ||
                                               region.max_ss < part.min_ss || region.min_ss > part.max_ss
                                         : apart_in_laboratory(region, part);
      if (!apart) found.push_back(&region);
    }
    return found;
  }
  static bool apart_in_laboratory(const BadRegion& region, const GeometryPanel& part) {
    const double columns = part.width() - 1;
    const double rows = part.height() - 1;
    const auto [low_x, high_x] =
        std::minmax({0.0, columns * part.fs.x, rows * part.ss.x, columns * part.fs.x + rows * part.ss.x});
    const auto [low_y, high_y] =
        std::minmax({0.0, columns * part.fs.y, rows * part.ss.y, columns * part.fs.y + rows * part.ss.y});
    constexpr double kRounding = 1;
    return part.corner.x + high_x + kRounding < region.min_x || part.corner.x + low_x - kRounding > region.max_x ||
           part.corner.y + high_y + kRounding < region.min_y || part.corner.y + low_y - kRounding > region.max_y;
  }

  const CrystfelGeometry& geometry_;
  const Frame& frame_;
  const SlabLayout& slab_;
  std::size_t words_per_row_;
  std::vector<std::uint64_t> bits_;
  std::vector<std::uint64_t> in_panel_;
  std::uint64_t good_ = 0;
};

std::uint64_t covered(const BadBits& bits) {
  return std::accumulate(bits.in_panel().begin(), bits.in_panel().end(), std::uint64_t{0});
}

// More than half of the modules, each of them whole, or three quarters of the pixels.
bool is_of_this_detector(const BadBits& bits, const Frame& frame) {
  const std::uint64_t there = covered(bits);
  const bool whole = std::all_of(bits.in_panel().begin(), bits.in_panel().end(),
                                 [&](std::uint64_t pixels) { return pixels == 0 || pixels == frame.panel_pixels(); });
  return (whole && 2 * there > frame.pixels()) || 4 * there >= 3 * frame.pixels();
}

void remark_missing(Placement& placed, const CrystfelGeometry& geometry, const Frame& frame, const BadBits& bits) {
  for (std::uint32_t panel = 0; panel < frame.panels; ++panel) {
    const std::uint64_t there = bits.in_panel()[panel];
    if (there == frame.panel_pixels()) continue;
    const PanelPlace& place = placed.slab.places[panel];
    placed.remarks.push_back(
        geometry.source + " has " + (there == 0 ? "no panel" : "panels for " + std::to_string(there) + " pixels only") +
        " where panel " + std::to_string(panel) + " of a frame lies (min_ss = " + std::to_string(place.y) +
        ", min_fs = " + std::to_string(place.x) + "): " + (there == 0 ? "all of it" : "the rest") + " is masked");
  }
}

}  // namespace

Result<Placement> place_panels(const CrystfelGeometry& geometry, std::uint32_t panels, std::uint32_t height,
                               std::uint32_t width) {
  const Frame frame{panels, height, width};
  const auto refuse = [&](const std::string& why) {
    return Error{
        "geometry.does-not-fit",
        geometry.source + " does not fit frames of " + std::to_string(panels) + " panels of " +
            size_text(height, width) + ": " + why,
        "no file was written",
        "name the geometry file of this detector in output.geometry, or leave it empty: panels are then stacked"};
  };
  if (const std::string why = unreadable(geometry); !why.empty()) return refuse(why);
  Placement placed;
  if (auto on_grid = place_on_grid(geometry, frame)) {
    placed = std::move(*on_grid);
  } else {
    auto listed = place_as_listed(geometry, frame);
    if (!listed) return refuse(listed.error().what);
    placed = std::move(*listed);
  }
  BadBits bits(geometry, frame, placed.slab);
  if (const std::uint64_t there = covered(bits); !is_of_this_detector(bits, frame)) {
    return refuse("its panels have " + std::to_string(there) + " of a frame's " + std::to_string(frame.pixels()) +
                  " pixels");
  }
  if (bits.bad() == frame.pixels()) return refuse("its bad regions leave no pixel");
  remark_missing(placed, geometry, frame, bits);
  if (!geometry.unread_mask.empty()) {
    placed.remarks.push_back(geometry.source + " names a mask (" + geometry.unread_mask +
                             ") that is not read: name its array in preprocess.bad_pixels");
  }
  if (bits.bad() > 0) placed.bad = bits.take();
  return placed;
}

}  // namespace peaknet::writer
