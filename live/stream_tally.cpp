#include "live/stream_tally.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>

#include "cxi/posix_file.hpp"

namespace peaknet::live {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
constexpr std::string_view kFrame = "header/str/frame = ";

// "run 0217 producer 3 frame 1207" -> "0217"
std::string run_of(std::string_view frame) {
  constexpr std::string_view kRun = "run ";
  if (!frame.starts_with(kRun)) return "";
  frame.remove_prefix(kRun.size());
  const std::size_t end = frame.find(" producer ");
  return end == std::string_view::npos ? "" : std::string(frame.substr(0, end));
}

}  // namespace

void Spread::add(double value) {
  ++count_;
  const double step = value - mean_;
  mean_ += step / static_cast<double>(count_);
  squares_ += step * (value - mean_);
}

void Spread::add(const Spread& other) {
  if (other.count_ == 0) return;
  const auto mine = static_cast<double>(count_);
  const auto theirs = static_cast<double>(other.count_);
  const double step = other.mean_ - mean_;
  mean_ += step * theirs / (mine + theirs);
  squares_ += other.squares_ + step * step * mine * theirs / (mine + theirs);
  count_ += other.count_;
}

void RunTally::add(const RunTally& other) {
  frames += other.frames;
  indexed += other.indexed;
  crystals += other.crystals;
  for (std::size_t i = 0; i < cell.size(); ++i) cell[i].add(other.cell[i]);
}

std::map<std::string, RunTally> sum_of(std::span<const StreamTally> streams) {
  std::map<std::string, RunTally> sum;
  for (const StreamTally& stream : streams) {
    for (const auto& [run, tally] : stream.runs()) sum[run].add(tally);
  }
  return sum;
}

double Spread::deviation() const { return count_ < 2 ? 0 : std::sqrt(squares_ / static_cast<double>(count_ - 1)); }

Status StreamTally::look() {
  const auto file = writer::PosixFile::open(path_, O_RDONLY);
  if (!file) return file.error().id == "output.folder-missing" ? Status() : Status(file.error());
  const auto size = file->size();
  if (!size) return size.error();
  if (*size < read_) *this = StreamTally(path_);
  while (read_ < *size) {
    std::string piece(std::min(kPiece, *size - read_), '\0');
    if (auto read = file->read_at(read_, std::as_writable_bytes(std::span(piece))); !read) return read;
    read_ += piece.size();
    rest_ += piece;
    std::size_t begin = 0;
    for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
      take_line(std::string_view(rest_).substr(begin, end - begin));
      begin = end + 1;
    }
    rest_.erase(0, begin);
  }
  return {};
}

void StreamTally::take_line(std::string_view line) {
  if (line == "----- Begin chunk -----") {
    chunk_ = {};
    in_chunk_ = true;
  } else if (!in_chunk_) {
    return;
  } else if (line == "----- End chunk -----") {
    end_chunk();
  } else if (line.starts_with(kFrame)) {
    chunk_.run = run_of(line.substr(kFrame.size()));
  } else if (line == "--- Begin crystal") {
    ++chunk_.crystals;
  } else if (line.starts_with("Cell parameters ")) {
    take_cell(line);
  }
}

void StreamTally::take_cell(std::string_view line) {
  std::array<double, 6> cell{};
  const std::string text(line);
  if (std::sscanf(text.c_str(), "Cell parameters %lf %lf %lf nm, %lf %lf %lf deg", &cell[0], &cell[1], &cell[2],
                  &cell[3], &cell[4], &cell[5]) == 6)
    chunk_.cells[chunk_.crystals] = cell;
}

void StreamTally::end_chunk() {
  in_chunk_ = false;
  RunTally& run = runs_[chunk_.run];
  ++run.frames;
  run.indexed += chunk_.crystals > 0 ? 1 : 0;
  run.crystals += chunk_.crystals;
  for (const auto& [crystal, cell] : chunk_.cells) {
    for (std::size_t i = 0; i < cell.size(); ++i) run.cell[i].add(cell[i]);
  }
}

}  // namespace peaknet::live
