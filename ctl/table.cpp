#include "ctl/table.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/columns.hpp"

namespace peaknet::ctl {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLabel = 9;

std::size_t whole_width(const std::vector<std::size_t>& widths) {
  std::size_t width = 0;
  for (const std::size_t column : widths) width += column == 0 ? 0 : column + (width == 0 ? 0 : kGap);
  return width;
}

}  // namespace

void Table::add(std::vector<std::string> cells, std::string note) {
  cells.resize(columns_.size());
  if (note == "-") note.clear();
  rows_.push_back({std::move(cells), std::move(note)});
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    std::size_t width = columns_of(columns_[column].title);
    for (const Row& row : rows_) width = std::max(width, columns_of(row.cells[column]));
    widths.push_back(width);
  }
  return widths;
}

std::vector<std::size_t> Table::fitted(std::size_t width) const {
  const auto natural = widths();
  std::vector<bool> shown(columns_.size(), true);
  for (;;) {
    auto fit = natural;
    for (std::size_t column = 0; column < fit.size(); ++column) fit[column] = shown[column] ? natural[column] : 0;
    // What is too much is taken from the widest text, again and again.
    for (std::size_t too_wide = whole_width(fit); too_wide > width; too_wide = whole_width(fit)) {
      std::size_t widest = fit.size();
      for (std::size_t column = 0; column < fit.size(); ++column) {
        const std::size_t least = std::max(columns_[column].least, columns_of(columns_[column].title));
        if (columns_[column].least == 0 || fit[column] <= least) continue;
        if (widest == fit.size() || fit[column] > fit[widest]) widest = column;
      }
      if (widest == fit.size()) break;
      --fit[widest];
    }
    if (whole_width(fit) <= width) return fit;
    std::size_t out = columns_.size();
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      if (shown[column] && columns_[column].rank > 0 &&
          (out == columns_.size() || columns_[column].rank >= columns_[out].rank))
        out = column;
    }
    if (out == columns_.size()) return fit;  // nothing is left that may go: line() clips
    shown[out] = false;
  }
}

std::string Table::line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const {
  std::string line;
  for (std::size_t column = 0; column < cells.size(); ++column) {
    const std::size_t width = widths[column];
    if (width == 0) continue;
    const std::string cell = shortened(cells[column], width);
    line += (line.empty() ? "" : std::string(kGap, ' ')) +
            (columns_[column].left ? padded(cell, width) : padded_left(cell, width));
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string Table::str(std::size_t width, std::size_t most_rows) const {
  const auto widths = fitted(width);
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  std::string out = clipped(line(titles, widths), width) + '\n';
  const std::size_t shown = rows_.size() <= most_rows ? rows_.size() : most_rows - std::min<std::size_t>(1, most_rows);
  for (std::size_t row = 0; row < shown; ++row) {
    out += clipped(line(rows_[row].cells, widths), width) + '\n';
    if (!rows_[row].note.empty()) out += "  " + wrapped(rows_[row].note, width, 2, 2) + '\n';
  }
  if (shown < rows_.size()) out += clipped("and " + std::to_string(rows_.size() - shown) + " more", width) + '\n';
  return out;
}

std::string labelled(const std::string& label, const std::vector<std::string>& items, std::size_t width) {
  const std::size_t indent = width >= 40 ? kLabel : 2;
  std::string out = padded(label, kLabel);
  std::size_t used = kLabel;
  bool first = true;
  for (const std::string& item : items) {
    const std::size_t columns = columns_of(item);
    if (!first && used + 3 + columns > width) {
      out += '\n' + std::string(indent, ' ');
      used = indent;
      first = true;
    }
    if (!first) out += "   ";
    used += first ? 0 : 3;
    const std::string piece = wrapped(item, width, indent, used);
    const auto last = piece.rfind('\n');
    used = last == std::string::npos ? used + columns_of(piece) : columns_of(piece.substr(last + 1));
    out += piece;
    first = false;
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + '\n';
}

}  // namespace peaknet::ctl
