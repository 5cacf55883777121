#include "feed/hdf5_source.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/log_line.hpp"
#include "feed/frame_shape.hpp"
#include "feed/hdf5_open.hpp"

namespace peaknet::feed {

const std::vector<std::string> kImagePlaces = {"/entry_1/data_1/data",
                                               "/entry_1/instrument_1/detector_1/data",
                                               "/entry_1/image_1/data",
                                               "/entry/data/data",
                                               "/entry/instrument/detector/data",
                                               "/data/data",
                                               "/data"};

namespace {

constexpr std::size_t kMostCandidates = 1000, kMostListed = 32, kMostNames = 100'000;
constexpr const char* kDectrisGroup = "/entry/data";
constexpr const char* kDectrisDetails = "/entry/instrument/detector/detectorSpecific";
constexpr const char* kOurGroup = "/entry_1/peaknet";

std::string list_text(const std::vector<ImageLike>& found) {
  std::string text;
  for (std::size_t i = 0; i < std::min(found.size(), kMostListed); ++i) {
    const auto& [path, array] = found[i];
    text += (text.empty() ? "" : ", ") + path;
    if (!array) {
      text += " (cannot be opened)";
      continue;
    }
    const auto type = array->half ? "float16" : array->type ? name(*array->type) : "no plain numbers";
    text += " " + std::string(type) + " " + shape_text(array->dims);
  }
  return found.empty() ? "none" : text + (found.size() > kMostListed ? ", ..." : "");
}

// May its frames be the pool's, as far as can be told? Where it cannot, they may.
bool may_fit(const ImageLike& found, const shm::Geometry& geometry) {
  if (!found.array) return true;
  const auto& dims = found.array->dims;
  if (dims.size() < 2) return true;
  const std::uint64_t rows = dims[dims.size() - 2], panels = geometry.panels;
  return dims.back() == geometry.width && (rows == geometry.height || rows == panels * geometry.height);
}

// The number of "data_000012"; nullopt for other names.
std::optional<std::uint64_t> data_number(const std::string& name) {
  constexpr std::string_view kBegin = "data_";
  std::uint64_t number = 0;
  if (!name.starts_with(kBegin)) return std::nullopt;
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + kBegin.size(), end, number);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return number;
}

// DECTRIS' and Jungfraujoch's masters: links to data_000001, data_000002, ...
Result<std::vector<std::string>> dectris_parts(hid_t file, const std::string& path, bool skip_bad) {
  std::map<std::uint64_t, std::string> numbered;
  for (const std::string& name : names_in(file, kDectrisGroup, kMostNames, ExternalLinks::follow)) {
    const auto number = data_number(name);
    if (!number) continue;
    const auto [known, fresh] = numbered.try_emplace(*number, std::string(kDectrisGroup) + "/" + name);
    if (fresh) continue;
    return Error{"file.no-images",
                 "it is not clear which dataset of " + path + " is number " + std::to_string(*number) + ": " +
                     known->second + " or " + name,
                 "no frame was taken from it", "name the images with --dataset"};
  }
  std::vector<std::string> parts;
  std::uint64_t next = numbered.empty() || numbered.begin()->first == 0 ? 0 : 1;
  for (const auto& [number, dataset] : numbered) {
    if (number != next && !skip_bad) {
      return Error{"file.incomplete",
                   path + " is not complete: it has " + dataset + ", but none of the number " + std::to_string(next),
                   "no frame was taken from it",
                   "bring the master of the whole run, or play what is there with --skip-bad"};
    }
    next = number + 1;
    parts.push_back(dataset);
  }
  return parts;
}

Error no_images(const std::string& path, const std::vector<ImageLike>& candidates, bool ours) {
  if (ours) {
    return {"file.no-images", path + " was written without images", "no frame was taken from it",
            "only files that peaknet-writer wrote with images can be replayed"};
  }
  return {"file.no-images",
          candidates.empty() ? "there is no image in " + path
                             : "it is not clear which dataset of " + path + " holds the images",
          "no frame was taken from it", "name it with --dataset; image-like are: " + list_text(candidates)};
}

// The only one that may be images, or whose frames may be the pool's: what cannot be read may be them.
Result<std::vector<std::string>> find_by_form(hid_t file, const std::string& path, const shm::Geometry& geometry) {
  const auto candidates = image_like(file, kMostCandidates, ExternalLinks::follow);
  std::vector<const ImageLike*> possible, fitting;
  for (const ImageLike& found : candidates) {
    if (named_as_no_image(found.path)) continue;
    possible.push_back(&found);
    if (may_fit(found, geometry)) fitting.push_back(&found);
  }
  const bool ours = H5Lexists(file, "/entry_1", H5P_DEFAULT) > 0 && H5Lexists(file, kOurGroup, H5P_DEFAULT) > 0;
  const auto& chosen = possible.size() == 1 ? possible : fitting;
  if (ours || chosen.size() != 1 || candidates.size() == kMostCandidates) return no_images(path, candidates, ours);
  if (!chosen.front()->array) {
    const auto array = look_up(file, path, chosen.front()->path);
    if (!array) return array.error();
  }
  return std::vector<std::string>{chosen.front()->path};
}

// The datasets whose frames are played one after the other.
Result<std::vector<std::string>> find_images(hid_t file, const std::string& path, const std::string& wanted,
                                             const shm::Geometry& geometry, bool skip_bad) {
  if (!wanted.empty()) {
    const auto array = look_up(file, path, wanted);
    if (!array) return array.error();
    if (*array) return std::vector<std::string>{wanted};
    return Error{
        "file.no-images", "there is no dataset " + wanted + " in " + path, "no frame was taken from it",
        "name one of these with --dataset: " + list_text(image_like(file, kMostCandidates, ExternalLinks::follow))};
  }
  for (const std::string& place : kImagePlaces) {
    const auto array = look_up(file, path, place);
    if (!array) return array.error();
    if (!*array) continue;
    if ((*array)->dims.size() >= 2) return std::vector<std::string>{place};
    return Error{"frame.shape",
                 "dataset " + place + " of " + path + " has the shape " + shape_text((*array)->dims) + ": no images",
                 "no frame was taken from it",
                 "name another one with --dataset; image-like are: " +
                     list_text(image_like(file, kMostCandidates, ExternalLinks::follow))};
  }
  auto parts = dectris_parts(file, path, skip_bad);
  if (!parts || !parts->empty()) return parts;
  return find_by_form(file, path, geometry);
}

// How many images a DECTRIS master says that its series has; 0: it does not say.
std::uint64_t images_said(hid_t file) {
  double images = 1;
  for (const char* name : {"nimages", "ntrigger"}) {
    const auto array = open_array(file, std::string(kDectrisDetails) + "/" + name, ExternalLinks::refuse);
    const auto said = array ? read_numbers(*array, 1) : std::nullopt;
    if (said && said->size() == 1 && said->front() >= 1.0 && said->front() < 1e9) {
      images *= said->front();
    } else if (images == 1) {
      return 0;
    }
  }
  return static_cast<std::uint64_t>(images);
}

bool of_dectris(hid_t file, const std::vector<std::string>& datasets) {
  if (data_number(datasets.front().substr(datasets.front().rfind('/') + 1))) return true;
  for (const char* group : {"/entry", "/entry/instrument", "/entry/instrument/detector", kDectrisDetails}) {
    if (H5Lexists(file, group, H5P_DEFAULT) <= 0) return false;
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Hdf5Source>> Hdf5Source::open(const std::string& path, const std::string& dataset,
                                                     const shm::Geometry& geometry, Narrowing narrowing,
                                                     const Hdf5Reading& reading) {
  const Hdf5Guard guard;
  auto file = open_hdf5_file(path);
  if (!file) return file.error();
  const auto datasets = find_images(file->get(), path, dataset, geometry, reading.skip_bad);
  if (!datasets) return datasets.error();
  auto source = std::unique_ptr<Hdf5Source>(new Hdf5Source(path, geometry, narrowing, reading.files));
  const bool thresholds = of_dectris(file->get(), *datasets);
  for (const std::string& part : *datasets) {
    auto added = source->add_part(part, thresholds, reading.skip_bad);
    if (!added && !(reading.skip_bad && datasets->size() > 1)) return added.error();
    if (!added) log::warn("{}", added.error().text());
  }
  if (source->parts_.empty()) {
    return Error{"file.incomplete", path + " is not complete: nothing that it shows can be read",
                 "no frame was taken from it", "bring what is missing to its place"};
  }
  if (const std::uint64_t said = images_said(file->get()); dataset.empty() && said > source->frames_) {
    log::warn(
        "{} says that its series has {} images, and shows {}: the others are not there (a series that was ended early, "
        "or a master that was not copied whole)",
        path, said, source->frames_);
  }
  source->facts_ = read_hdf5_facts(file->get(), path, source->frames_, *reading.files);
  source->columns_ = Hdf5Columns(reading.columns, file->get(), path, source->frames_, *reading.files);
  return source;
}

Status Hdf5Source::add_part(const std::string& dataset, bool thresholds, bool skip_bad) {
  const auto array = files_->get(path_, dataset);
  if (!array) return array.error();
  const std::string what = "dataset " + dataset + " of " + path_;
  const auto& dims = (*array)->dims();
  if (thresholds && dims.size() == 4 && dims[1] > 1) {
    return Error{"frame.shape",
                 what + " has the shape " + shape_text(dims) + ": images of " + std::to_string(dims[1]) +
                     " thresholds, which are not panels",
                 "no frame was taken from it", "write the images of one threshold into a file of their own"};
  }
  const auto frames = frames_in(dims, geometry_);
  if (!frames) return shape_error(what, dims, geometry_);
  if (auto whole = (*array)->check(*files_); !whole) {
    if (!skip_bad || whole.error().id != "file.incomplete") return whole;
    log::warn("{}", whole.error().text());
  }
  if (const std::uint64_t gaps = (*array)->never_shown(); gaps > 0) {
    log::warn(
        "{}: {} of {} pixels of a frame are shown by no file, and get the fill value; are they in "
        "preprocess.bad_pixels?",
        what, gaps, geometry_.pixels());
  }
  parts_.push_back({dataset, *frames});
  frames_ += *frames;
  return {};
}

void Hdf5Source::look_through() {
  DiskArray::Seen seen;
  for (const Part& part : parts_) {
    const auto array = files_->get(path_, part.dataset);
    if (array) (*array)->look_through(*files_, seen);
  }
  columns_.look_through(*files_, seen);
}

Status Hdf5Source::read_frame(DiskArray& array, std::uint64_t index, std::byte* to) {
  Box box{std::vector<std::uint64_t>(array.dims().size(), 0), array.dims()};
  // One frame fills the whole array, or one row of its first dimension.
  if (box.elements() != geometry_.pixels()) {
    box.start.front() = index;
    box.count.front() = 1;
  }
  auto read = array.read(box, to, *files_);
  if (read) return {};
  Error error = read.error();
  if (error.id == "file.incomplete") error.id = "frame.absent";
  error.what = "frame " + std::to_string(index) + " of " + path_ + ": " + error.what;
  return error;
}

Result<Filled> Hdf5Source::fill_pixels(std::uint64_t index, const SlotView& slot) {
  std::uint64_t in_part = index;
  auto part = parts_.begin();
  while (in_part >= part->frames) in_part -= (part++)->frames;
  const auto array = files_->get(path_, part->dataset);
  if (!array) return array.error();
  const SampleType type = (*array)->type();
  if (type == sample_type_of(geometry_.pixel_type)) {
    if (auto read = read_frame(**array, in_part, slot.image.data()); !read) return read.error();
    return Filled{};
  }
  const std::size_t pixels = geometry_.pixels();
  scratch_.resize(pixels * size_of(type));
  if (auto read = read_frame(**array, in_part, scratch_.data()); !read) return read.error();
  const auto conversion =
      convert_pixels(scratch_.data(), type, slot.image.data(), geometry_.pixel_type, pixels, narrowing_, slot.bad);
  if (conversion.misfit) {
    const std::size_t at = *conversion.misfit, panel = std::size_t{geometry_.height} * geometry_.width;
    return misfit_error("frame " + std::to_string(index) + " of " + path_ + ", panel " + std::to_string(at / panel) +
                            ", y " + std::to_string(at % panel / geometry_.width) + ", x " +
                            std::to_string(at % geometry_.width),
                        scratch_.data(), at, pixels, type, geometry_.pixel_type, slot.bad);
  }
  Filled filled;
  filled.narrowed = conversion.narrowed;
  filled.no_counts = conversion.no_counts;
  return filled;
}

Result<Filled> Hdf5Source::fill(std::uint64_t index, SlotView slot) {
  auto filled = fill_pixels(index, slot);
  if (!filled) return filled;
  const auto of = [&](const auto& values) { return values[values.size() == 1 ? 0 : index]; };
  slot.info.event_id = index;
  if (!facts_.energies.empty()) slot.info.photon_energy_ev = of(facts_.energies);
  if (!facts_.timestamps.empty()) slot.info.timestamp = of(facts_.timestamps);
  if (!facts_.fiducials.empty()) slot.info.fiducial = of(facts_.fiducials);
  if (!facts_.encoder_values.empty()) slot.info.encoder_value = of(facts_.encoder_values);
  if (auto put = columns_.read(index, *files_).put(0, slot.columns); !put) filled->column = put.error();
  return filled;
}

}  // namespace peaknet::feed
