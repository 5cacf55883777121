#include "cxi/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "cxi/checksum.hpp"
#include "cxi/compression.hpp"
#include "cxi/tables.hpp"

namespace peaknet::writer {
namespace {

// Images begin at pages, which the page cache copies fastest.
constexpr hsize_t kAlignThreshold = 65536;
constexpr hsize_t kAlignment = 4096;
constexpr std::uint64_t kReserveImages = 8;  // space is reserved for this many images at once, where there is as much

hid_t image_type(PixelType type) {
  switch (type) {
    case PixelType::uint16:
      return H5T_STD_U16LE;
    case PixelType::int16:
      return H5T_STD_I16LE;
    case PixelType::float32:
      return H5T_IEEE_F32LE;
  }
  return H5I_INVALID_HID;
}

// `with_tree`: with a hundred modules of equal attributes, each of which the file then stores once.
Result<H5Handle> create_file(const std::filesystem::path& path, bool with_tree) {
  constexpr unsigned kLeastShared = 40;  // bytes of an attribute and its description
  const H5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  H5Pset_alignment(access.get(), kAlignThreshold, kAlignment);
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST);
  const H5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  if (with_tree) {
    H5Pset_shared_mesg_nindexes(creation.get(), 1);
    H5Pset_shared_mesg_index(creation.get(), 0, H5O_SHMESG_ATTR_FLAG, kLeastShared);
  }
  H5Handle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()), H5Fclose);
  if (!file.ok()) return hdf5_error("make", path);
  return file;
}

// (0, slab height, width), one chunk per event; rows are added as events come.
Result<H5Handle> create_stack(hid_t file, const std::filesystem::path& path, const FileFacts& facts, const char* name,
                              hid_t type) {
  const hsize_t dims[3] = {0, facts.slab_height(), facts.slab_width()};
  const hsize_t most[3] = {H5S_UNLIMITED, facts.slab_height(), facts.slab_width()};
  const hsize_t chunk[3] = {1, facts.slab_height(), facts.slab_width()};
  const H5Handle space(H5Screate_simple(3, dims, most), H5Sclose);
  const H5Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(properties.get(), 3, chunk);
  if (facts.filter == Filter::bitshuffle_lz4) {
    const auto parameters = bitshuffle_parameters(H5Tget_size(type));
    H5Pset_filter(properties.get(), kBitshuffleFilter, H5Z_FLAG_MANDATORY, parameters.size(), parameters.data());
  }
  const H5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  H5Handle stack(H5Dcreate2(file, name, type, space.get(), links.get(), properties.get(), H5P_DEFAULT), H5Dclose);
  if (!stack.ok()) return hdf5_error(std::string("make ") + name + " of", path);
  return stack;
}

}  // namespace

Result<CxiFile> CxiFile::create(const std::filesystem::path& path, const FileFacts& facts) {
  const auto guard = use_hdf5();
  auto file = create_file(path, facts.laboratory.unknown.empty());
  if (!file) return file.error();
  CxiFile made(facts, PosixFile(), std::move(*file));
  const auto fill = [&]() -> Status {
    auto images = create_stack(made.file_.get(), path, facts, kImageDataset, image_type(facts.pixel_type));
    if (!images) return images.error();
    made.images_ = std::move(*images);
    if (facts.with_segmentation) {
      auto segmentation = create_stack(made.file_.get(), path, facts, kSegmentationDataset, H5T_STD_U8LE);
      if (!segmentation) return segmentation.error();
      made.segmentation_ = std::move(*segmentation);
    }
    auto disk = PosixFile::open(path, O_RDWR);
    if (!disk) return disk.error();
    made.disk_ = std::move(*disk);
    return {};
  };
  auto filled = fill();
  if (filled) return made;
  made.abandon();
  (void)remove_name(path);  // the first error says more
  return filled.error();
}

CxiFile& CxiFile::operator=(CxiFile&& other) noexcept {
  abandon();
  facts_ = std::move(other.facts_);
  disk_ = std::move(other.disk_);
  file_ = std::move(other.file_);
  images_ = std::move(other.images_);
  segmentation_ = std::move(other.segmentation_);
  events_ = std::move(other.events_);
  most_peaks_ = other.most_peaks_;
  reserved_ = other.reserved_;
  return *this;
}

CxiFile::~CxiFile() { abandon(); }

void CxiFile::abandon() {
  if (!file_.ok()) return;
  const auto guard = use_hdf5();
  // HDF5 cannot let go of a file without writing to it, and 1.10.8 crashes at exit if it cannot write. So the file
  // under its descriptor is exchanged for memory, which takes everything and is gone with the close.
  void* handle = nullptr;
  const int memory = ::memfd_create("abandoned", MFD_CLOEXEC);
  if (memory >= 0 && H5Fget_vfd_handle(file_.get(), H5P_DEFAULT, &handle) >= 0)
    ::dup3(memory, *static_cast<int*>(handle), O_CLOEXEC);
  images_.close();
  segmentation_.close();
  file_.close();
  if (memory >= 0) ::close(memory);
  if (const auto size = disk_.size())
    (void)disk_.resize(*size);  // give back what was reserved; if not, it goes with the file
  disk_.close();
}

Status CxiFile::make_room(std::size_t stored_bytes, std::size_t peaks) {
  auto guard = use_hdf5();
  hsize_t end = 0;
  if (H5Fget_filesize(file_.get(), &end) < 0) return hdf5_error("look at", path());
  guard.release();
  most_peaks_ = std::max(most_peaks_, peaks);
  const std::uint64_t needed =
      end + stored_bytes + 4 * kAlignment + table_bytes(facts_, events_.size() + 1, most_peaks_);
  if (needed <= reserved_) return {};
  const std::uint64_t wished = needed + kReserveImages * (stored_bytes + 2 * kAlignment);
  if (disk_.reserve(reserved_, wished)) {
    reserved_ = wished;
    return {};
  }
  auto reserved = disk_.reserve(reserved_, needed);
  if (reserved) reserved_ = needed;
  return reserved;
}

// One more row of images or masks.
Result<StoredChunk> CxiFile::store(const H5Handle& stack, std::span<const std::byte> bytes) {
  const hsize_t offset[3] = {events_.size(), 0, 0};
  if (H5Dwrite_chunk(stack.get(), H5P_DEFAULT, 0, offset, bytes.size(), bytes.data()) < 0)
    return hdf5_error("write an image into", path());
  unsigned mask = 0;
  haddr_t address = 0;
  hsize_t size = 0;
  if (H5Dget_chunk_info_by_coord(stack.get(), offset, &mask, &address, &size) < 0 || size != bytes.size())
    return hdf5_error("find the image just written into", path());
  disk_.begin_sync(address, size);
  return StoredChunk{address, size, checksum(bytes)};
}

Status CxiFile::append(Event event, std::span<const std::byte> image, std::span<const std::byte> segmentation) {
  const auto guard = use_hdf5();
  const hsize_t rows[3] = {events_.size() + 1, facts_.slab_height(), facts_.slab_width()};
  StoredEvent added{std::move(event), std::nullopt};
  if (H5Dset_extent(images_.get(), rows) < 0) return hdf5_error("extend", path());
  if (facts_.with_images) {
    auto stored = store(images_, image);
    if (!stored) return stored.error();
    added.image = *stored;
  }
  if (facts_.with_segmentation) {
    if (H5Dset_extent(segmentation_.get(), rows) < 0) return hdf5_error("extend", path());
    auto stored = store(segmentation_, segmentation);
    if (!stored) return stored.error();
    added.segmentation = *stored;
  }
  events_.push_back(std::move(added));
  return {};
}

Status CxiFile::sync() { return disk_.sync(); }

Result<std::uint64_t> CxiFile::finish(const Closing& closing) {
  if (events_.empty()) return Error{"output.empty", "no event was put into " + path().string(), "", ""};
  auto guard = use_hdf5();
  if (auto written = write_tables(file_.get(), path(), facts_, events_, closing); !written) return written.error();
  if (!images_.close() || !segmentation_.close()) return hdf5_error("close the images of", path());
  // A flush first: unlike a failed close it leaves a handle that can be abandoned.
  if (H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) < 0) return hdf5_error("write the tables of", path());
  if (!file_.close()) return hdf5_error("close", path());
  guard.release();
  const auto size = disk_.size();
  if (!size) return size.error();
  if (auto trimmed = disk_.resize(*size); !trimmed) return trimmed.error();  // what was reserved and not needed
  if (auto synced = disk_.sync(); !synced) return synced.error();
  disk_.close();
  return *size;
}

}  // namespace peaknet::writer
