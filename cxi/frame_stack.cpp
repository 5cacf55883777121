#include "cxi/frame_stack.hpp"

#include <array>
#include <optional>

#include "base/special_file.hpp"
#include "hdf5/stored_whole.hpp"

namespace peaknet::writer {
namespace {

// The type in memory for a dataset of this type in the file, if it can be read without loss as what is asked for.
std::optional<PixelType> image_type(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  const std::size_t bytes = H5Tget_size(type);
  if (kind == H5T_FLOAT && bytes == 4) return PixelType::float32;
  if (kind != H5T_INTEGER || bytes > 2) return std::nullopt;
  const bool has_sign = H5Tget_sign(type) != H5T_SGN_NONE;
  if (bytes == 1 && has_sign) return std::nullopt;
  return has_sign ? PixelType::int16 : PixelType::uint16;
}

// h5py keeps booleans as an enumeration of bytes, which HDF5 does not convert to integers: read as what it is based on.
bool is_class_map(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  return kind == H5T_INTEGER || (kind == H5T_ENUM && H5Tget_size(type) == 1);
}

std::string dims_text(const std::vector<hsize_t>& dims) {
  std::string text;
  for (const hsize_t n : dims) text += (text.empty() ? "(" : ", ") + std::to_string(n);
  return dims.empty() ? "()" : text + ")";
}

Error no_file(const std::filesystem::path& path) {
  return {"frames.no-file", path.string() + " cannot be read: " + kSpecialFile, "",
          "copy what comes from it into a file"};
}

}  // namespace

std::string FrameStack::shape() const {
  return std::to_string(events_) + " events of " + std::to_string(panels_) + " x " + std::to_string(height_) + " x " +
         std::to_string(width_);
}

Result<FrameStack> FrameStack::open(const std::filesystem::path& file_path, const std::string& dataset, Kind kind,
                                    std::uint32_t panels) {
  const auto guard = use_hdf5();
  if (is_special_file(file_path.string())) return no_file(file_path);
  H5Handle file(H5Fopen(file_path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return unreadable_file(file_path);
  H5Handle set(H5Dopen2(file.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) {
    return Error{"frames.no-dataset", file_path.string() + " has no dataset '" + dataset + "'", "",
                 "name it by its whole path, as h5ls -r shows it"};
  }
  FrameStack stack(file_path, dataset, std::move(file), std::move(set));
  stack.kind_ = kind;
  const H5Handle type(H5Dget_type(stack.set_.get()), H5Tclose);
  const auto pixel_type = image_type(type.get());
  if (kind == Kind::class_map ? !is_class_map(type.get()) : !pixel_type) {
    return Error{"frames.other-type",
                 "'" + dataset + "' of " + file_path.string() + " does not hold " +
                     (kind == Kind::class_map ? "integers, as a class map does"
                                              : "uint8, uint16, int16 or float32, as an image does"),
                 "", "convert it, or name another dataset"};
  }
  if (kind == Kind::image) stack.pixel_type_ = *pixel_type;

  const H5Handle space(H5Dget_space(stack.set_.get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  std::vector<hsize_t> dims(rank > 0 ? static_cast<std::size_t>(rank) : 0);
  if (!dims.empty()) H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  const auto refuse = [&](const std::string& why) {
    return Error{"frames.other-shape",
                 "'" + dataset + "' of " + file_path.string() + " has the shape " + dims_text(dims) + ": " + why, "",
                 "frames are (events, panels, y, x), (events, y, x) or (y, x)"};
  };
  if (rank < 2 || rank > 4) return refuse("its number of dimensions is not 2, 3 or 4");
  const std::size_t last = dims.size() - 1;
  stack.rank_ = dims.size();
  stack.events_ = rank == 2 ? 1 : dims[0];
  if (rank == 4 && panels > 1 && dims[1] != panels) {
    return refuse("it has " + std::to_string(dims[1]) + " panels, not " + std::to_string(panels));
  }
  const hsize_t count = rank == 4 ? dims[1] : panels;
  const hsize_t rows = dims[last - 1];
  if (rank != 4 && (panels == 0 || rows % panels != 0)) {
    return refuse("its " + std::to_string(rows) + " rows are not those of " + std::to_string(panels) + " panels");
  }
  constexpr hsize_t kMost = hsize_t{1} << 16;  // of each side: nothing below overflows
  const hsize_t height = rank == 4 ? rows : rows / panels;
  if (count < 1 || count > kMost || height < 1 || height > kMost || dims[last] < 1 || dims[last] > kMost) {
    return refuse("a side is 0 or more than 65536");
  }
  stack.panels_ = static_cast<std::uint32_t>(count);
  stack.height_ = static_cast<std::uint32_t>(height);
  stack.width_ = static_cast<std::uint32_t>(dims[last]);
  if (const std::string why = hdf5::not_stored_whole(stack.set_.get()); !why.empty()) {
    return Error{"frames.not-whole", "'" + dataset + "' of " + file_path.string() + " " + why, "",
                 "bring what is missing, and write the frames themselves into one dataset"};
  }
  return stack;
}

Status FrameStack::read(std::uint64_t event, std::vector<std::byte>& bytes) const {
  const auto guard = use_hdf5();
  const std::size_t pixels = std::size_t{panels_} * height_ * width_;
  bytes.resize(pixels * (kind_ == Kind::class_map ? 1 : size_of(pixel_type_)));
  const H5Handle from(H5Dget_space(set_.get()), H5Sclose);
  if (rank_ > 2) {
    std::array<hsize_t, 4> start{event, 0, 0, 0};
    std::array<hsize_t, 4> count{1, panels_, height_, width_};
    if (rank_ == 3) count = {1, hsize_t{panels_} * height_, width_, 1};
    if (H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) < 0)
      return hdf5_error("select an event of '" + name_ + "' in", path_);
  }
  const hsize_t total = pixels;
  const H5Handle into(H5Screate_simple(1, &total, nullptr), H5Sclose);
  const H5Handle type(H5Dget_type(set_.get()), H5Tclose);
  hid_t memory = kind_ == Kind::image ? memory_type_of(pixel_type_) : H5T_NATIVE_UINT8;
  if (H5Tget_class(type.get()) == H5T_ENUM) memory = type.get();
  if (H5Dread(set_.get(), memory, into.get(), from.get(), H5P_DEFAULT, bytes.data()) < 0)
    return hdf5_error("read event " + std::to_string(event) + " of '" + name_ + "' in", path_);
  return {};
}

}  // namespace peaknet::writer
