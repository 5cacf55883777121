#include "writer/peaks_command.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <ostream>
#include <utility>
#include <vector>

#include "cxi/frame_stack.hpp"
#include "cxi/posix_file.hpp"
#include "peaks/mask_bits.hpp"
#include "peaks/peak_finder.hpp"

namespace peaknet::writer {
namespace {

struct Column {
  const char* name;
  double (*value)(const Peak& peak);
};
// Every whole number here is below 2^53, so a double holds it exactly.
constexpr std::array<Column, 14> kColumns = {{
    {"panel", [](const Peak& p) { return static_cast<double>(p.panel); }},
    {"y", [](const Peak& p) { return p.y; }},
    {"x", [](const Peak& p) { return p.x; }},
    {"y_weighted", [](const Peak& p) { return p.y_weighted; }},
    {"x_weighted", [](const Peak& p) { return p.x_weighted; }},
    {"n_pixels", [](const Peak& p) { return static_cast<double>(p.n_pixels); }},
    {"sum", [](const Peak& p) { return p.sum; }},
    {"max", [](const Peak& p) { return p.max; }},
    {"snr", [](const Peak& p) { return p.snr; }},
    {"y0", [](const Peak& p) { return static_cast<double>(p.y0); }},
    {"x0", [](const Peak& p) { return static_cast<double>(p.x0); }},
    {"y1", [](const Peak& p) { return static_cast<double>(p.y1); }},
    {"x1", [](const Peak& p) { return static_cast<double>(p.x1); }},
    {"first_index", [](const Peak& p) { return static_cast<double>(p.first_index); }},
}};

// Calls found(event, search, peaks) for every event of the request's file.
template <class Found>
Result<PeaksFound> each_event(const PeaksRequest& request, Found&& found) {
  const auto masks = FrameStack::open(request.file, request.mask, FrameStack::Kind::class_map, request.panels);
  if (!masks) return masks.error();
  std::optional<FrameStack> images;
  if (!request.image.empty()) {
    auto opened = FrameStack::open(request.file, request.image, FrameStack::Kind::image, request.panels);
    if (!opened) return opened.error();
    images.emplace(std::move(*opened));
    if (!images->same_frames_as(*masks)) {
      return Error{"frames.differ", "the masks are " + masks->shape() + ", the images " + images->shape(), "",
                   "name the two datasets of the same frames, and --panels if one of them has its panels stacked"};
    }
  }
  PeakFinderOptions options;
  if (request.most > 0) options.max_components = request.most;
  PeakFinder finder(options);
  std::vector<std::byte> classes;
  std::vector<std::byte> pixels;
  std::vector<std::uint64_t> words;
  std::vector<Peak> peaks;
  PeaksFound total;
  for (std::uint64_t event = 0; event < masks->events(); ++event) {
    if (auto read = masks->read(event, classes); !read) return read.error();
    if (images) {
      if (auto read = images->read(event, pixels); !read) return read.error();
    }
    pack_mask({reinterpret_cast<const std::uint8_t*>(classes.data()), classes.size()}, masks->panels(), masks->height(),
              masks->width(), words);
    const MaskView mask = whole_mask(words.data(), masks->panels(), masks->height(), masks->width());
    const ImageView image{images ? pixels.data() : nullptr, images ? images->pixel_type() : PixelType::uint16};
    const PeakSearch search = finder.find(mask, image, peaks);
    ++total.events;
    total.peaks += peaks.size();
    total.broken += search.too_many ? 1 : 0;
    found(event, search, peaks);
  }
  return total;
}

// The shortest text that reads back as the same number.
void put_number(std::ostream& out, double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.write(text.data(), end - text.data());
}

Result<PeaksFound> write_csv(const PeaksRequest& request, std::ostream& out) {
  out << "event";
  for (const auto& [name, value] : kColumns) out << ',' << name;
  out << '\n';
  return each_event(request, [&](std::uint64_t event, const PeakSearch&, const std::vector<Peak>& peaks) {
    for (const Peak& peak : peaks) {
      out << event;
      for (const auto& [name, value] : kColumns) put_number(out << ',', value(peak));
      out << '\n';
    }
  });
}

Result<PeaksFound> write_csv_file(const PeaksRequest& request, const std::filesystem::path& path) {
  std::ofstream out(path);
  if (!out) return disk_error("make", path, errno);
  auto total = write_csv(request, out);
  out.close();
  if (total && !out) return disk_error("write", path, errno);
  return total;
}

Result<PeaksFound> write_hdf5(const PeaksRequest& request, const std::filesystem::path& path) {
  std::vector<std::uint64_t> event_column;
  std::array<std::vector<double>, kColumns.size()> columns;
  std::vector<std::uint64_t> n_peaks;
  std::vector<std::uint64_t> n_components;
  auto total = each_event(request, [&](std::uint64_t event, const PeakSearch& search, const std::vector<Peak>& peaks) {
    n_peaks.push_back(peaks.size());
    n_components.push_back(search.components);
    event_column.insert(event_column.end(), peaks.size(), event);
    for (std::size_t i = 0; i < columns.size(); ++i)
      for (const Peak& peak : peaks) columns[i].push_back(kColumns[i].value(peak));
  });
  if (!total) return total;
  const auto guard = use_hdf5();
  H5Handle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("make", path);
  H5Writer out(file.get(), path);
  out.dataset("/peaks/event", event_column);
  for (std::size_t i = 0; i < columns.size(); ++i) out.dataset(std::string("/peaks/") + kColumns[i].name, columns[i]);
  out.dataset("/n_peaks", n_peaks);
  out.dataset("/n_components", n_components);
  out.attribute("/", "source", request.file.string());
  out.attribute("/", "mask", request.mask);
  out.attribute("/", "image", request.image);
  if (auto written = out.status(); !written) return written.error();
  if (!file.close()) return hdf5_error("close", path);
  return total;
}

}  // namespace

Result<PeaksFound> find_peaks_in_file(const PeaksRequest& request, std::ostream& csv) {
  if (request.out.empty()) return write_csv(request, csv);
  const bool as_hdf5 = request.out.extension() == ".h5" || request.out.extension() == ".hdf5";
  if (!as_hdf5 && request.out.extension() != ".csv") {
    return Error{"peaks.other-format", "'" + request.out.string() + "' ends neither with .csv nor with .h5", "",
                 "the end of its name says what the table is to be"};
  }
  if (std::filesystem::exists(request.out)) return disk_error("make", request.out, EEXIST);
  const std::filesystem::path beginning = request.out.string() + "." + std::to_string(::getpid()) + ".part";
  auto total = as_hdf5 ? write_hdf5(request, beginning) : write_csv_file(request, beginning);
  if (total) {
    if (auto named = publish_name(beginning, std::filesystem::absolute(request.out)); !named) total = named.error();
  }
  if (!total) (void)remove_name(beginning);  // the first error says more
  return total;
}

}  // namespace peaknet::writer
