#include "feed/hdf5_virtual.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "feed/frame_shape.hpp"

namespace peaknet::feed {
namespace {

namespace fs = std::filesystem;

Error not_read(const std::string& what, const std::string& why) {
  return {"file.virtual", what + " is virtual, and " + why, "no frame was taken from it",
          "replay the files that it shows, or copy it with h5repack -l CONTI"};
}

std::string text_of(const std::function<ssize_t(char*, std::size_t)>& get) {
  const ssize_t length = get(nullptr, 0);
  if (length <= 0) return {};
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  get(text.data(), text.size());
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// nullopt: not regular. An unlimited count ends with the array.
std::optional<std::vector<Stride>> strides_of(hid_t space, std::span<const std::uint64_t> ends) {
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 1) return std::nullopt;
  const auto n = static_cast<std::size_t>(rank);
  std::vector<hsize_t> start(n), stride(n), count(n), block(n);
  std::vector<Stride> all(n);
  if (H5Sget_select_type(space) == H5S_SEL_ALL) {
    H5Sget_simple_extent_dims(space, count.data(), nullptr);
    for (std::size_t i = 0; i < n; ++i) all[i] = {0, 1, 1, count[i]};
    return all;
  }
  if (H5Sget_select_type(space) != H5S_SEL_HYPERSLABS || H5Sis_regular_hyperslab(space) <= 0 ||
      H5Sget_regular_hyperslab(space, start.data(), stride.data(), count.data(), block.data()) < 0)
    return std::nullopt;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t room = i < ends.size() && ends[i] > start[i] ? ends[i] - start[i] : 0;
    if (count[i] == H5S_UNLIMITED) count[i] = room < block[i] ? 0 : (room - block[i]) / stride[i] + 1;
    if (block[i] == H5S_UNLIMITED) block[i] = room;
    if (stride[i] == block[i]) {  // without gaps it is one block
      block[i] *= count[i];
      count[i] = 1;
    }
    if (count[i] == 0 || block[i] == 0) return std::nullopt;
    all[i] = {start[i], stride[i], count[i], block[i]};
  }
  return all;
}

std::vector<std::uint64_t> extent_of(hid_t space) {
  std::vector<hsize_t> dims(static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space))));
  if (!dims.empty()) H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  return {dims.begin(), dims.end()};
}

std::vector<std::size_t> longer_than_one(const std::vector<Stride>& strides) {
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    if (strides[i].points() > 1) which.push_back(i);
  }
  return which;
}

// Are the same elements in the same order on both sides, so that a box stays a box? The first dimension of the virtual
// dataset is read row by row and may have any stride.
bool fit(const Mapping& mapping) {
  const auto here = longer_than_one(mapping.here), there = longer_than_one(mapping.there);
  if (here.size() != there.size()) return false;
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (mapping.here[here[i]].points() != mapping.there[there[i]].points()) return false;
    if (here[i] > 0 && !(mapping.here[here[i]].dense() && mapping.there[there[i]].dense())) return false;
  }
  return true;
}

}  // namespace

std::uint64_t Box::elements() const {
  std::uint64_t n = 1;
  for (const std::uint64_t side : count) n *= side;
  return n;
}

std::optional<Shown> Mapping::within(const Box& box) const {
  for (std::size_t i = 0; i < here.size(); ++i) {  // most show nothing of it: that costs no memory
    if (here[i].start >= box.start[i] + box.count[i] || here[i].end() <= box.start[i]) return std::nullopt;
  }
  Shown shown{box, {}};
  for (const Stride& stride : there) {
    shown.there.start.push_back(stride.start);
    shown.there.count.push_back(1);
  }
  const auto longer = longer_than_one(there);
  std::size_t next = 0;
  for (std::size_t i = 0; i < here.size(); ++i) {
    const Stride& stride = here[i];
    const std::uint64_t begin = std::max(box.start[i], stride.start);
    const std::uint64_t end = std::min(box.start[i] + box.count[i], stride.end());
    if (begin >= end) return std::nullopt;
    const std::uint64_t off = begin - stride.start;
    if (off % stride.stride >= stride.block) return std::nullopt;  // between two of its rows
    const std::uint64_t point = off / stride.stride * stride.block + off % stride.stride;
    shown.here.start[i] = begin;
    shown.here.count[i] = end - begin;
    if (stride.points() == 1) continue;
    shown.there.start[longer[next]] = there[longer[next]].at(point);
    shown.there.count[longer[next]] = end - begin;
    ++next;
  }
  return shown;
}

bool Mapping::take_source(std::span<const std::uint64_t> dims) {
  Mapping with = *this;
  with.there.clear();
  for (const std::uint64_t n : dims) with.there.push_back({0, 1, 1, n});
  if (!fit(with)) return false;  // and stays as it was: what does not fit must not be read
  there = std::move(with.there);
  return true;
}

Result<std::vector<Mapping>> mappings_of(hid_t dataset, std::span<const std::uint64_t> dims, const std::string& what) {
  const Hdf5Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  std::size_t count = 0;
  if (!creation || H5Pget_virtual_count(creation.get(), &count) < 0) return not_read(what, hdf5_complaint());
  std::vector<Mapping> all;
  for (std::size_t i = 0; i < count; ++i) {
    const Hdf5Handle here(H5Pget_virtual_vspace(creation.get(), i), H5Sclose);
    const Hdf5Handle there(H5Pget_virtual_srcspace(creation.get(), i), H5Sclose);
    Mapping mapping;
    mapping.file =
        text_of([&](char* to, std::size_t room) { return H5Pget_virtual_filename(creation.get(), i, to, room); });
    mapping.dataset =
        text_of([&](char* to, std::size_t room) { return H5Pget_virtual_dsetname(creation.get(), i, to, room); });
    if (!here || !there || mapping.file.empty()) return not_read(what, hdf5_complaint());
    const std::string which = "its part " + std::to_string(i) + " of " + mapping.file;
    if (mapping.file.find("%b") != std::string::npos || mapping.dataset.find("%b") != std::string::npos)
      return not_read(what, which + " has a pattern as its name, which is not read");
    auto shown = strides_of(here.get(), dims);
    mapping.whole_source = H5Sget_select_type(there.get()) == H5S_SEL_ALL;
    std::optional<std::vector<Stride>> source;
    if (!mapping.whole_source) source = strides_of(there.get(), extent_of(there.get()));
    if (mapping.whole_source && shown) {
      source.emplace();
      for (const Stride& stride : *shown) source->push_back({0, 1, 1, stride.points()});
    }
    if (!shown || !source || shown->size() != dims.size()) return not_read(what, which + " is no regular selection");
    mapping.here = std::move(*shown);
    mapping.there = std::move(*source);
    if (!fit(mapping)) return not_read(what, which + " is not shown as it lies there");
    all.push_back(std::move(mapping));
  }
  return all;
}

std::vector<std::string> places_of(const std::string& name, const std::string& owner, const char* prefix_variable) {
  const fs::path given(name);
  std::vector<std::string> places;
  std::error_code ignored;
  const auto add = [&](const fs::path& place) { places.push_back(place.string()); };
  if (given.is_absolute()) add(given);
  const fs::path relative = given.is_absolute() ? given.filename() : given;
  const fs::path folder = fs::path(owner).parent_path();
  if (const char* prefixes = std::getenv(prefix_variable); prefixes != nullptr && *prefixes != '\0') {
    std::string prefix(prefixes);
    if (const auto origin = prefix.find("${ORIGIN}"); origin == 0) prefix = folder.string() + prefix.substr(9);
    add(fs::path(prefix) / relative);
  }
  add(folder / relative);
  if (!given.is_absolute()) add(given);
  if (const fs::path real = fs::canonical(owner, ignored); !ignored) add(real.parent_path() / relative);
  return places;
}

}  // namespace peaknet::feed
