// What may be images in an HDF5 file, looked for by its form wherever it is.
#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "feed/hdf5_file.hpp"

namespace peaknet::feed {
namespace {

constexpr int kDeepest = 16;
constexpr std::uint64_t kImageSide = 16;
constexpr std::size_t kMostNames = 100'000;

struct Names {
  std::vector<std::string> names;
  std::size_t at_most;
};

// Called by HDF5, which knows no exceptions.
herr_t keep_name(hid_t, const char* name, const H5L_info_t*, void* out) noexcept {
  auto& kept = *static_cast<Names*>(out);
  if (kept.names.size() == kept.at_most) return 1;
  kept.names.emplace_back(name);
  return 0;
}

std::vector<std::string> names_of(hid_t group, std::size_t at_most) {
  Names kept{{}, at_most};
  H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, keep_name, &kept);
  return std::move(kept.names);
}

// The dimensions of a dataset whose elements may be arrays themselves.
std::vector<std::uint64_t> all_dims(const Hdf5Array& array) {
  auto dims = array.dims;
  const Hdf5Handle type(H5Dget_type(array.dataset.get()), H5Tclose);
  std::array<hsize_t, H5S_MAX_RANK> inner{};
  if (H5Tget_class(type.get()) != H5T_ARRAY || H5Tget_array_dims2(type.get(), inner.data()) < 0) return dims;
  dims.insert(dims.end(), inner.begin(), inner.begin() + H5Tget_array_ndims(type.get()));
  return dims;
}

class Search {
 public:
  Search(std::size_t at_most, ExternalLinks links) : at_most_(at_most), links_(links) {}

  void look_into(hid_t group, const std::string& path, int depth) {
    if (depth > kDeepest || seen_before(group)) return;
    for (const std::string& name : names_of(group, kMostNames)) {
      if (found_.size() == at_most_) return;
      Hdf5Handle object = open_object(group, name, links_);
      const std::string child = path + "/" + name;
      if (!object) {
        found_.push_back({child, std::nullopt});
      } else if (H5Iget_type(object.get()) == H5I_GROUP) {
        look_into(object.get(), child, depth + 1);
      } else if (H5Iget_type(object.get()) == H5I_DATASET && !seen_before(object.get())) {
        look_at(std::move(object), child);
      }
    }
  }
  std::vector<ImageLike> take() { return std::move(found_); }

 private:
  // An object may have many names, and a group may contain itself.
  bool seen_before(hid_t object) {
    H5G_stat_t about{};
    return H5Gget_objinfo(object, ".", true, &about) >= 0 &&
           !seen_.insert({about.fileno[0], about.fileno[1], about.objno[0], about.objno[1]}).second;
  }
  void look_at(Hdf5Handle dataset, const std::string& path) {
    auto array = array_of(std::move(dataset));
    if (!array) return;
    const auto dims = all_dims(*array);
    if (dims.size() < 2 || dims[dims.size() - 1] < kImageSide || dims[dims.size() - 2] < kImageSide) return;
    found_.push_back({path, std::move(array)});
  }

  std::size_t at_most_;
  ExternalLinks links_;
  std::set<std::array<unsigned long, 4>> seen_;
  std::vector<ImageLike> found_;
};

}  // namespace

std::vector<ImageLike> image_like(hid_t file, std::size_t at_most, ExternalLinks links) {
  const Hdf5Handle root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
  Search search(at_most, links);
  if (root) search.look_into(root.get(), "", 0);
  return search.take();
}

std::vector<std::string> names_in(hid_t file, const std::string& group, std::size_t at_most, ExternalLinks links) {
  const Hdf5Handle opened = open_object(file, group, links);
  return opened ? names_of(opened.get(), at_most) : std::vector<std::string>{};
}

bool named_as_no_image(const std::string& path) {
  std::string name = path;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  std::transform(name.begin(), name.end(), name.begin(), lower);
  constexpr std::array kParts = {"mask",       "flat",        "pedestal", "gain",    "bad",     "dark",
                                 "status",     "noise",       "sigma",    "error",   "offset",  "lookup",
                                 "threshold",  "background",  "calib",    "map",     "powder",  "virtual_sum",
                                 "efficiency", "pixel_x",     "pixel_y",  "x_pixel", "y_pixel", "corrections",
                                 "weights",    "segmentation"};
  if (std::any_of(kParts.begin(), kParts.end(), [&](const char* part) { return name.find(part) != std::string::npos; }))
    return true;
  // Too short to be looked for in the middle of other words.
  constexpr std::array<std::string_view, 16> kWords = {
      "average",  "averaged",   "mean", "median", "sum", "summed",  "std",       "stddev",
      "variance", "projection", "rms",  "min",    "max", "preview", "histogram", "thumbnail"};
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  for (auto begin = std::find_if(name.begin(), name.end(), letter); begin != name.end();) {
    const auto end = std::find_if_not(begin, name.end(), letter);
    if (std::find(kWords.begin(), kWords.end(), std::string_view(begin, end)) != kWords.end()) return true;
    begin = std::find_if(end, name.end(), letter);
  }
  return false;
}

}  // namespace peaknet::feed
