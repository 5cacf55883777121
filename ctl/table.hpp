// Tables and labelled lines that fit a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace peaknet::ctl {

// Columns as wide as their widest cell. Where they do not fit, texts are shortened in their middle, then the columns
// that matter least are left out, so that no line is longer than asked for.
class Table {
 public:
  struct Column {
    std::string title;
    bool left = false;      // cells to the left: texts
    int rank = 0;           // columns with the highest rank are left out first; 0 stays
    std::size_t least = 0;  // a text may be shortened to so many columns; 0: it stays whole
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // `note`: lines under the row, indented and wrapped, for what is too long for a cell. "-" and "" are none.
  void add(std::vector<std::string> cells, std::string note = "");
  bool empty() const { return rows_.empty(); }
  // With the titles, a line each. `most_rows`: how many rows are shown; the rest is counted in a line.
  std::string str(std::size_t width, std::size_t most_rows = static_cast<std::size_t>(-1)) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string note;
  };
  std::vector<std::size_t> widths() const;
  // Which columns, and how wide; 0 for one that is left out.
  std::vector<std::size_t> fitted(std::size_t width) const;
  std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// "frames   committed 12   inferred 12": a label and items with three blanks between, in as many lines as it takes.
std::string labelled(const std::string& label, const std::vector<std::string>& items, std::size_t width);

}  // namespace peaknet::ctl
