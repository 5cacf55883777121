#include "cxi/reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/special_file.hpp"
#include "cxi/run_master.hpp"
#include "cxi/tables.hpp"
#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kOwnGroup = "/entry_1/peaknet";

std::optional<PixelType> pixel_type_of(const H5Handle& images) {
  const H5Handle type(H5Dget_type(images.get()), H5Tclose);
  const std::size_t bytes = H5Tget_size(type.get());
  const H5T_class_t kind = H5Tget_class(type.get());
  if (kind == H5T_FLOAT && bytes == 4) return PixelType::float32;
  if (kind != H5T_INTEGER || bytes != 2) return std::nullopt;
  return H5Tget_sign(type.get()) == H5T_SGN_NONE ? PixelType::uint16 : PixelType::int16;
}

// The dimensions of a dataset; empty if it is not one of at most three.
std::vector<hsize_t> dimensions(const H5Handle& set) {
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 1 || rank > 3) return {};
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  return dims;
}

// Reads row `row` (of the first dimension) of a dataset.
bool read_row(const H5Handle& set, const std::vector<hsize_t>& dims, std::size_t row, hid_t memory_type, void* out) {
  std::vector<hsize_t> start(dims.size(), 0);
  std::vector<hsize_t> count = dims;
  start[0] = row;
  count[0] = 1;
  hsize_t total = 1;
  for (const hsize_t n : count) total *= n;
  const H5Handle from(H5Dget_space(set.get()), H5Sclose);
  const H5Handle into(H5Screate_simple(1, &total, nullptr), H5Sclose);
  return H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >= 0 &&
         H5Dread(set.get(), memory_type, into.get(), from.get(), H5P_DEFAULT, out) >= 0;
}

}  // namespace

Error CxiReader::not_readable(const std::string& what) const {
  return {"cxi.not-readable", path_.string() + ": " + what, "", "is it a finished .cxi file of peaknet-writer?"};
}

Result<CxiReader> CxiReader::open(const std::filesystem::path& path) {
  const auto guard = use_hdf5();
  if (is_special_file(path.string())) {
    return Error{"cxi.not-readable", path.string() + ": " + kSpecialFile, "",
                 "name a finished .cxi file of peaknet-writer"};
  }
  H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return unreadable_file(path);
  H5Handle images(H5Dopen2(file.get(), kImageDataset, H5P_DEFAULT), H5Dclose);
  CxiReader reader(path, std::move(file), std::move(images));
  if (!reader.images_.ok()) return reader.not_readable(std::string("there is no dataset ") + kImageDataset);
  const auto dims = dimensions(reader.images_);
  const auto type = pixel_type_of(reader.images_);
  if (dims.size() != 3 || !type || dims[1] > UINT32_MAX || dims[2] > UINT32_MAX) {
    return reader.not_readable(std::string(kImageDataset) + " is not (events, y, x) of uint16, int16 or float32");
  }
  reader.events_ = dims[0];
  reader.height_ = static_cast<std::uint32_t>(dims[1]);
  reader.width_ = static_cast<std::uint32_t>(dims[2]);
  reader.pixel_type_ = *type;
  reader.has_images_ = H5Dget_storage_size(reader.images_.get()) > 0;
  reader.find_panels();
  reader.config_ = reader.text(std::string(kOwnGroup) + "/config", std::nullopt);
  reader.find_shown();
  // A master says none of it, and stores no image; its files have one shape, so the first that is there speaks for all.
  for (const auto& [name, events] : reader.shown_) {
    if (reader.take_facts_of(path.parent_path() / name)) break;
  }
  return reader;
}

// What contradicts itself is not believed.
void CxiReader::find_shown() {
  const auto names = read_texts(file_.get(), kShownNames);
  const auto events = read_all<std::uint64_t>(file_.get(), kShownEvents);
  if (!names || !events || names->size() != events->size()) return;
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < names->size(); ++i) {
    const std::string& name = (*names)[i];
    if (name.empty() || name.find('/') != std::string::npos || name == path_.filename()) return;
    all += (*events)[i];
  }
  if (all != events_) return;
  for (std::size_t i = 0; i < names->size(); ++i) shown_.emplace_back((*names)[i], (*events)[i]);
}

bool CxiReader::take_facts_of(const std::filesystem::path& path) {
  H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return false;
  H5Handle images(H5Dopen2(file.get(), kImageDataset, H5P_DEFAULT), H5Dclose);
  has_images_ = images.ok() && H5Dget_storage_size(images.get()) > 0;
  CxiReader part(path, std::move(file), std::move(images));
  part.height_ = height_;
  part.width_ = width_;
  part.find_panels();
  slab_ = part.slab_;
  panel_height_ = part.panel_height_;
  panel_width_ = part.panel_width_;
  config_ = part.text(std::string(kOwnGroup) + "/config", std::nullopt);
  return true;
}

std::optional<std::uint32_t> CxiReader::fact(const char* name) const {
  return number_attribute<std::uint32_t>(file_.get(), kOwnGroup, name);
}

// What contradicts itself is not believed.
void CxiReader::find_panels() {
  slab_ = stacked(1, height_, width_);
  panel_height_ = height_;
  panel_width_ = width_;
  const auto panels = fact("panels"), panel_height = fact("panel_height"), panel_width = fact("panel_width");
  if (!panels || *panels == 0) return;
  const std::string places = std::string(kOwnGroup) + "/panel_places";
  if (H5Lexists(file_.get(), places.c_str(), H5P_DEFAULT) <= 0) {
    if (height_ % *panels != 0) return;
    panel_height_ = height_ / *panels;
    slab_ = stacked(*panels, panel_height_, width_);
    return;
  }
  if (!panel_height || !panel_width) return;
  SlabLayout placed{height_, width_, {}};
  for (std::uint32_t i = 0; i < *panels; ++i) {
    const auto place = numbers(places, i);
    if (!place || place->size() != 2) return;
    const double y = (*place)[0], x = (*place)[1];
    if (!(y >= 0 && y + *panel_height <= height_ && x >= 0 && x + *panel_width <= width_)) return;
    placed.places.push_back({static_cast<std::uint32_t>(y), static_cast<std::uint32_t>(x)});
  }
  slab_ = std::move(placed);
  panel_height_ = *panel_height;
  panel_width_ = *panel_width;
}

std::vector<std::uint8_t> CxiReader::no_data() const {
  const auto guard = use_hdf5();
  if (H5Lexists(file_.get(), kMaskDataset, H5P_DEFAULT) <= 0) return {};
  const H5Handle mask(H5Dopen2(file_.get(), kMaskDataset, H5P_DEFAULT), H5Dclose);
  if (!mask.ok() || dimensions(mask) != std::vector<hsize_t>{height_, width_}) return {};
  std::vector<std::uint8_t> values(std::size_t{height_} * width_);
  if (H5Dread(mask.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) return {};
  return values;
}

std::optional<std::vector<double>> CxiReader::numbers(const std::string& name, std::size_t row) const {
  const H5Handle set(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return std::nullopt;
  const auto dims = dimensions(set);
  if (dims.empty() || dims.size() > 2 || row >= dims[0]) return std::nullopt;
  std::vector<double> values(dims.size() == 2 ? dims[1] : 1);
  if (!read_row(set, dims, row, H5T_NATIVE_DOUBLE, values.data())) return std::nullopt;
  return values;
}

std::string CxiReader::text(const std::string& name, std::optional<std::size_t> row) const {
  const H5Handle set(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return "";
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  if (H5Tis_variable_str(type.get()) <= 0) return "";
  char* text = nullptr;
  if (row) {
    const auto dims = dimensions(set);
    if (dims.size() != 1 || *row >= dims[0] || !read_row(set, dims, *row, type.get(), &text)) return "";
  } else if (H5Sget_simple_extent_npoints(space.get()) != 1 ||
             H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) < 0) {
    return "";
  }
  if (text == nullptr) return "";
  std::string copy(text);
  H5free_memory(text);
  return copy;
}

Status CxiReader::read_stacks(const CxiReader& from, std::size_t row, ReadEvent& event) {
  const std::vector<hsize_t> dims{from.events_, from.height_, from.width_};
  event.pixels.resize(dims[1] * dims[2] * size_of(from.pixel_type_));
  if (!read_row(from.images_, dims, row, memory_type_of(from.pixel_type_), event.pixels.data()))
    return hdf5_error("read image " + std::to_string(row) + " of", from.path_);
  if (H5Lexists(from.file_.get(), kSegmentationDataset, H5P_DEFAULT) <= 0) return {};
  const H5Handle masks(H5Dopen2(from.file_.get(), kSegmentationDataset, H5P_DEFAULT), H5Dclose);
  event.segmentation.resize(dims[1] * dims[2]);
  if (dimensions(masks) != dims)
    return from.not_readable(std::string(kSegmentationDataset) + " is not as large as the images");
  if (!read_row(masks, dims, row, H5T_NATIVE_UINT8, event.segmentation.data()))
    return hdf5_error("read mask " + std::to_string(row) + " of", from.path_);
  return {};
}

Status CxiReader::read_stacks(std::size_t index, ReadEvent& event) const {
  std::size_t row = index;
  for (const auto& [name, events] : shown_) {
    if (row >= events) {
      row -= events;
      continue;
    }
    const auto file = open(path_.parent_path() / name);
    if (!file) {
      return not_readable("event " + std::to_string(index) + " is in " + name + ", which cannot be read (" +
                          file.error().what + ")");
    }
    if (file->events_ != events || file->height_ != height_ || file->width_ != width_ ||
        file->pixel_type_ != pixel_type_)
      return not_readable(name + " is not the file that it was made of");
    if (auto read = read_stacks(*file, row, event); !read) return read;
    // One file of the run that has none leaves the master without.
    if (H5Lexists(file_.get(), kSegmentationDataset, H5P_DEFAULT) <= 0) event.segmentation.clear();
    return {};
  }
  return read_stacks(*this, index, event);
}

Result<ReadEvent> CxiReader::read(std::size_t index) const {
  if (index >= events_) {
    return Error{
        "cxi.no-event",
        path_.string() + " has " + std::to_string(events_) + " events, there is no event " + std::to_string(index), "",
        "events count from 0"};
  }
  const auto guard = use_hdf5();
  ReadEvent event;
  event.identifier = text("/entry_1/experiment_identifier", index);
  if (auto stacks = read_stacks(index, event); !stacks) return stacks.error();
  const std::string group = kPeakGroup;
  const auto count = numbers(group + "nPeaks", index);
  if (!count) return not_readable("there is no " + group + "nPeaks");
  for (const auto& [name, value, everywhere] : kPeakColumns) {
    const auto cells = numbers(group + name, index);
    const auto peaks = static_cast<std::size_t>(std::max(0.0, count->front()));
    if (!cells && !everywhere) continue;
    if (!cells || cells->size() < peaks)
      return not_readable(group + name + " is missing or too narrow for " + std::to_string(peaks) + " peaks");
    event.peaks.resize(peaks);
    for (std::size_t i = 0; i < peaks; ++i) event.peaks[i].*value = static_cast<float>((*cells)[i]);
  }
  if (const auto energy = numbers("/LCLS/photon_energy_eV", index); energy && std::isfinite(energy->front())) {
    event.photon_energy_ev = energy->front();
  }
  if (const auto encoder = numbers("/LCLS/detector_1/EncoderValue", index);
      encoder && std::isfinite(encoder->front())) {
    event.encoder_value_mm = encoder->front();
  }
  return event;
}

}  // namespace peaknet::writer
