#include "cxi/stored_events.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "cxi/column_tables.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/tables.hpp"
#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kOrigin = "/entry_1/peaknet";

// Reads columns of one row for each event; remembers the first that is missing.
class Columns {
 public:
  Columns(hid_t file, std::size_t rows) : file_(file), rows_(rows) {}

  template <class T>
  std::vector<T> needed(const std::string& name, std::size_t width = 1) {
    auto values = read_all<T>(file_, name);
    if (values && values->size() == rows_ * width) return std::move(*values);
    if (missing_.empty()) missing_ = name;
    return std::vector<T>(rows_ * width);
  }
  template <class T>
  std::vector<T> known(const std::string& name, T unknown) const {
    auto values = read_all<T>(file_, name);
    if (values && values->size() == rows_) return std::move(*values);
    return std::vector<T>(rows_, unknown);
  }
  std::vector<std::string> texts(const std::string& name) const {
    auto values = read_texts(file_, name);
    if (values && values->size() == rows_) return std::move(*values);
    return std::vector<std::string>(rows_);
  }
  const std::string& missing() const { return missing_; }

 private:
  hid_t file_;
  std::size_t rows_;
  std::string missing_;
};

std::optional<PixelType> pixel_type_of(const H5Handle& images) {
  const H5Handle type(H5Dget_type(images.get()), H5Tclose);
  for (const PixelType known : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    if (H5Tequal(type.get(), memory_type_of(known)) > 0) return known;
  }
  return std::nullopt;
}

struct Shape {
  std::array<hsize_t, 3> dims{};
  PixelType type = PixelType::uint16;
};

std::optional<Shape> shape_of(const H5Handle& images) {
  Shape shape;
  const H5Handle space(H5Dget_space(images.get()), H5Sclose);
  const auto type = pixel_type_of(images);
  if (H5Sget_simple_extent_ndims(space.get()) != 3 || !type ||
      H5Sget_simple_extent_dims(space.get(), shape.dims.data(), nullptr) < 0)
    return std::nullopt;
  if (shape.dims[1] > UINT32_MAX || shape.dims[2] > UINT32_MAX) return std::nullopt;
  shape.type = *type;
  return shape;
}

FileFacts facts_of(hid_t file, const Shape& shape) {
  FileFacts facts;
  const auto number = [&](const char* name) {
    return static_cast<std::uint32_t>(number_attribute(file, kOrigin, name).value_or(0));
  };
  const auto text = [&](const char* name) { return text_attribute(file, kOrigin, name).value_or(""); };
  facts.instance = text("instance");
  facts.instance_uuid = number_attribute(file, kOrigin, "instance_uuid").value_or(0);
  facts.writer = number_attribute(file, kOrigin, "writer").value_or(0);
  facts.host = text("host");
  facts.run = text("run");
  facts.panels = number("panels");
  facts.height = number("panel_height");
  facts.width = number("panel_width");
  facts.slab.height = static_cast<std::uint32_t>(shape.dims[1]);
  facts.slab.width = static_cast<std::uint32_t>(shape.dims[2]);
  if (const auto places = read_all<std::uint32_t>(file, std::string(kOrigin) + "/panel_places")) {
    for (std::size_t i = 0; i + 1 < places->size(); i += 2)
      facts.slab.places.push_back({(*places)[i], (*places)[i + 1]});
  }
  facts.pixel_type = shape.type;
  facts.with_images = text("images") == "hits";
  facts.filter = text("compression") == "bitshuffle-lz4" ? Filter::bitshuffle_lz4 : Filter::none;
  facts.model = text("model");
  facts.model_sha256 = text("model_sha256");
  return facts;
}

std::vector<std::vector<PeakRow>> peaks_of(Columns& columns, hid_t file, std::size_t rows) {
  const std::string group = kPeakGroup;
  const auto counts = columns.needed<std::int32_t>(group + "nPeaks");
  const auto first = read_all<float>(file, group + "peakXPosRaw");
  const std::size_t width = first && rows > 0 ? first->size() / rows : 0;
  std::vector<std::vector<PeakRow>> peaks(rows);
  for (std::size_t row = 0; row < rows; ++row)
    peaks[row].resize(std::min<std::size_t>(width, static_cast<std::size_t>(std::max(0, counts[row]))));
  for (const auto& [name, value, everywhere] : kPeakColumns) {
    const auto cells = columns.needed<float>(group + name, width);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = 0; i < peaks[row].size(); ++i) peaks[row][i].*value = cells[row * width + i];
    }
  }
  return peaks;
}

std::vector<StoredEvent> events_of(Columns& columns, hid_t file, std::size_t rows, const std::string& run) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  const std::string group = std::string(kOrigin) + "/";
  const auto producers = columns.needed<std::uint64_t>(group + "producer");
  const auto sequences = columns.needed<std::uint64_t>(group + "producer_seq");
  const auto ids = columns.needed<std::uint64_t>(group + "event_id");
  const auto flags = columns.needed<std::uint32_t>(group + "flags");
  const auto original = columns.needed<std::uint32_t>(group + "original_size", 2);
  const auto pad = columns.needed<std::uint32_t>(group + "pad_offset", 2);
  const auto source_runs = columns.texts(group + "source_run");
  const auto energies = columns.known<double>("/LCLS/photon_energy_eV", kUnknown);
  const auto times = columns.known<std::uint64_t>("/LCLS/detector_1/timestamp", 0);
  const auto fiducials = columns.known<std::int32_t>("/LCLS/fiducial", -1);
  const auto encoders = columns.known<double>("/LCLS/detector_1/EncoderValue", kUnknown);
  auto peaks = peaks_of(columns, file, rows);
  std::vector<StoredEvent> events(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    Event& event = events[row].event;
    event.key = {run, producers[row], sequences[row]};
    event.event_id = ids[row];
    event.flags = flags[row];
    event.timestamp = times[row];
    event.photon_energy_ev = energies[row];
    event.encoder_value = encoders[row];
    if (fiducials[row] >= 0) event.fiducial = static_cast<std::uint32_t>(fiducials[row]);
    event.source_run = source_runs[row];
    event.original_height = original[2 * row];
    event.original_width = original[2 * row + 1];
    event.pad_top = pad[2 * row];
    event.pad_left = pad[2 * row + 1];
    event.peaks = std::move(peaks[row]);
  }
  return events;
}

// Where the image of each event lies.
bool find_images(const H5Handle& images, Columns& columns, std::vector<StoredEvent>& events) {
  const auto sums = columns.needed<std::uint32_t>(std::string(kOrigin) + "/image_checksum");
  for (std::size_t row = 0; row < events.size(); ++row) {
    const std::array<hsize_t, 3> offset{row, 0, 0};
    unsigned skipped_filters = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t size = 0;
    if (H5Dget_chunk_info_by_coord(images.get(), offset.data(), &skipped_filters, &address, &size) < 0 ||
        address == HADDR_UNDEF)
      return false;
    events[row].image = StoredChunk{address, size, sums[row]};
  }
  return true;
}

Error not_readable(const std::filesystem::path& path, const std::string& what) {
  return {"cxi.not-readable", path.string() + ": " + what, "", "is it a finished .cxi file of peaknet-writer?"};
}

}  // namespace

Result<LedgerContents> read_stored_events(const std::filesystem::path& path) {
  const auto guard = use_hdf5();
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("read", path);
  const H5Handle images(H5Dopen2(file.get(), kImageDataset, H5P_DEFAULT), H5Dclose);
  const auto shape = images.ok() ? shape_of(images) : std::nullopt;
  if (!shape) return not_readable(path, "it has no images of uint16, int16 or float32");
  LedgerContents contents;
  contents.facts = facts_of(file.get(), *shape);
  Columns columns(file.get(), shape->dims[0]);
  contents.events = events_of(columns, file.get(), shape->dims[0], contents.facts.run);
  contents.facts.columns = read_columns(file.get(), contents.events);
  if (contents.facts.with_images && !find_images(images, columns, contents.events))
    return not_readable(path, "it has not one stored image for each event");
  if (!columns.missing().empty()) return not_readable(path, columns.missing() + " has not one row for each event");
  return contents;
}

Result<std::vector<std::uint16_t>> read_slab_mask(const std::filesystem::path& path) {
  const auto guard = use_hdf5();
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("read", path);
  auto mask = read_all<std::uint16_t>(file.get(), "/entry_1/data_1/mask");
  if (!mask) return not_readable(path, "it has no mask");
  return std::move(*mask);
}

}  // namespace peaknet::writer
