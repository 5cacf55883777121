#include "feed/hdf5_array.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <new>
#include <utility>

#include "base/text.hpp"
#include "feed/decoders/numpy_type.hpp"
#include "feed/frame_shape.hpp"
#include "feed/hdf5_open.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kLargestKept = std::size_t{256} << 20;
constexpr std::size_t kLargestChunk = std::size_t{4} << 30;
constexpr int kDeepest = 8;  // virtual datasets of virtual datasets
constexpr std::size_t kRowsLookedAt = 1000;
constexpr int kKeepMemory = 16;  // so many of the open arrays may keep memory for the next frame

hid_t native(SampleType type) {
  const std::array<hid_t, kSampleTypes> types = {
      H5T_NATIVE_UINT8, H5T_NATIVE_INT8,   H5T_NATIVE_UINT16, H5T_NATIVE_INT16, H5T_NATIVE_UINT32,
      H5T_NATIVE_INT32, H5T_NATIVE_UINT64, H5T_NATIVE_INT64,  H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE};
  return types[static_cast<std::size_t>(type)];
}

// Calls `work(from, to, count)` for each run of the last dimension of a box of `extent` elements that lies at
// `from_start` in an array of `from_dims`, and at `to_start` in one of `to_dims`; in elements.
template <class Work>
void for_each_run(std::span<const std::uint64_t> extent, std::span<const std::uint64_t> from_dims,
                  std::span<const std::uint64_t> from_start, std::span<const std::uint64_t> to_dims,
                  std::span<const std::uint64_t> to_start, Work work) {
  const std::size_t rank = extent.size();
  std::vector<std::uint64_t> at(rank, 0);
  for (;;) {
    std::uint64_t from = 0, to = 0;
    for (std::size_t i = 0; i < rank; ++i) {
      from = from * from_dims[i] + from_start[i] + at[i];
      to = to * to_dims[i] + to_start[i] + at[i];
    }
    work(from, to, extent[rank - 1]);
    std::size_t i = rank - 1;
    while (i > 0 && ++at[i - 1] == extent[i - 1]) at[--i] = 0;
    if (i == 0) return;
  }
}

std::vector<std::uint64_t> zeros(std::size_t n) { return std::vector<std::uint64_t>(n, 0); }

}  // namespace

Result<std::shared_ptr<DiskArray>> DiskArray::open(const std::string& path, const std::string& dataset) {
  const Hdf5Guard guard;
  std::shared_ptr<DiskArray> made(new DiskArray);
  auto file = open_hdf5_file(path);
  if (!file) return file.error();
  made->path_ = path;
  made->dataset_ = dataset;
  made->file_ = std::move(*file);
  auto array = look_up(made->file_.get(), path, dataset);
  if (!array) return array.error();
  if (!*array) return unreadable(made->what(), "there is no such dataset", "check the path of the dataset");
  made->array_ = std::move(**array);
  if (made->array_.half) made->array_.type = SampleType::u16;  // its bits; see read
  if (!made->array_.type) {
    return Error{"frame.type", made->what() + " holds no plain integers or IEEE floats", "no frame was taken from it",
                 "name another one with --dataset"};
  }
  // A link may have led into another file: paths in it begin there.
  std::string owner(static_cast<std::size_t>(std::max<ssize_t>(0, H5Fget_name(made->array_.dataset.get(), nullptr, 0))),
                    '\0');
  if (!owner.empty() && H5Fget_name(made->array_.dataset.get(), owner.data(), owner.size() + 1) > 0)
    made->path_ = owner;
  if (auto good = made->find_storage(); !good) return good.error();
  return made;
}

DiskArray::~DiskArray() {
  const Hdf5Guard guard;
  witness_.reset();
  array_.dataset = Hdf5Handle();
  file_ = Hdf5Handle();
}

Status DiskArray::find_storage() {
  const Hdf5Handle creation(H5Dget_create_plist(array_.dataset.get()), H5Pclose);
  if (!creation) return unreadable(what(), hdf5_complaint(), "the file is damaged");
  layout_ = H5Pget_layout(creation.get());
  if (layout_ == H5D_VIRTUAL) {
    auto mappings = mappings_of(array_.dataset.get(), array_.dims, what());
    if (!mappings) return mappings.error();
    mappings_ = std::move(*mappings);
    fill_.resize(sample());
    H5Pget_fill_value(creation.get(), memory_type().get(), fill_.data());
    Box row{zeros(array_.dims.size()), array_.dims};
    row.count.front() = 1;
    for (std::size_t i = 0; i < mappings_.size(); ++i) {
      dense_ = dense_ && mappings_[i].dense();
      row.start.front() = mappings_[i].here.front().start;
      if (i < kRowsLookedAt) shown_ = std::max(shown_, shown_of(row));
    }
    return {};
  }
  find_nothing(creation.get());
  if (layout_ != H5D_CHUNKED) return find_raw_files(creation.get());

  std::vector<hsize_t> chunk(array_.dims.size());
  if (H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) != static_cast<int>(chunk.size()))
    return unreadable(what(), hdf5_complaint(), "the file is damaged");
  chunk_.assign(chunk.begin(), chunk.end());
  chunk_bytes_ = sample();
  for (const std::uint64_t n : chunk_) {
    if (n == 0 || __builtin_mul_overflow(chunk_bytes_, n, &chunk_bytes_) || chunk_bytes_ > kLargestChunk)
      return unreadable(what(), "its chunks are larger than 4 GiB", "let h5repack make smaller ones");
  }
  unsigned options = 0;
  if (H5Pget_chunk_opts(creation.get(), &options) >= 0)
    partial_unpacked_ = (options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) != 0;
  packed_ = H5Pget_nfilters(creation.get()) > 0;
  codec_ = ChunkCodec::of(creation.get(), *array_.type);
  if (codec_) return {};
  const Hdf5Handle type(H5Dget_type(array_.dataset.get()), H5Tclose);
  witness_ = Hdf5Witness::of(creation.get(), type.get(), chunk);
  if (witness_) return {};
  std::string names;
  for (const H5Z_filter_t filter : filters_of(creation.get()))
    names += (names.empty() ? "" : ", ") + filter_name(filter);
  return Error{"file.filter", what() + " is compressed with the filter " + names + ", which HDF5 has not here",
               "no frame was taken from it",
               "install the HDF5 plugin for it and set HDF5_PLUGIN_PATH, or unpack the file with h5repack"};
}

std::uint64_t DiskArray::shown_of(const Box& rows) const {
  std::uint64_t shown = 0;
  for (const Mapping& mapping : mappings_) {
    if (const auto part = mapping.within(rows)) shown += part->here.elements();
  }
  return shown;
}

void DiskArray::forget() {
  kept_.clear();
  kept_bytes_ = 0;
  stored_ = Scratch();
  unpacked_ = Scratch();
}

Result<std::shared_ptr<DiskArray>> DiskArray::source(Mapping& mapping, ArrayFiles& files) {
  std::string found = mapping.file == "." ? path_ : "";
  std::error_code ignored;
  for (const std::string& place :
       found.empty() ? places_of(mapping.file, path_, "HDF5_VDS_PREFIX") : std::vector<std::string>{}) {
    if (found.empty() && std::filesystem::exists(place, ignored)) found = place;
  }
  if (found.empty()) return incomplete(what(), "it shows " + mapping.file + ", which is not there");
  auto array = files.get(found, mapping.dataset);
  if (array && mapping.whole_source && !mapping.take_source((*array)->dims())) {
    return incomplete(what(), "it shows all of " + mapping.dataset + " of " + found + ", which has the shape " +
                                  shape_text((*array)->dims()));
  }
  return array;
}

Status DiskArray::check_mapping(Mapping& mapping, ArrayFiles& files, int depth) {
  auto shown = source(mapping, files);
  if (!shown) {
    if (shown.error().id == "file.incomplete") return shown.error();
    return incomplete(what(), "it shows " + mapping.dataset + " of " + mapping.file + ": " + shown.error().what);
  }
  const auto& dims = (*shown)->dims();
  bool inside = dims.size() == mapping.there.size();
  for (std::size_t i = 0; inside && i < dims.size(); ++i) inside = mapping.there[i].end() <= dims[i];
  if (!inside) {
    return incomplete(what(), "of " + mapping.dataset + " of " + mapping.file + " it shows more than the " +
                                  shape_text(dims) + " that are there");
  }
  if ((*shown)->type() != type() || (*shown)->array_.half != array_.half) {
    return Error{"file.virtual", what() + " has another number type than " + mapping.dataset + " of " + mapping.file,
                 "no frame was taken from it", "replay the files that it shows"};
  }
  return (*shown)->check(files, depth + 1);
}

Status DiskArray::check(ArrayFiles& files, int depth) {
  if (array_.elements() == 0) return {};
  if (layout_ == H5D_VIRTUAL) {
    if (depth > kDeepest) return incomplete(what(), "it shows itself");
    if (mappings_.empty()) return incomplete(what(), "it is virtual and shows no file");
    for (Mapping& mapping : mappings_) {
      if (auto good = check_mapping(mapping, files, depth); !good) return good;
    }
    return {};
  }
  const Hdf5Guard guard;
  H5D_space_status_t status{};
  if (H5Dget_space_status(array_.dataset.get(), &status) < 0)
    return unreadable(what(), hdf5_complaint(), "the file is damaged");
  if (status == H5D_SPACE_STATUS_NOT_ALLOCATED && !raw_files_ && layout_ != H5D_COMPACT)
    return incomplete(what(), "its pixels were never written");
  return {};
}

Error DiskArray::absent(const Box& box, const std::string& why) const {
  return {"frame.absent", "pixels of " + what() + " at " + shape_text(box.start) + " are not there: " + why,
          "the frame was not taken", "bring what is missing to its place; --skip-bad plays the others"};
}

void DiskArray::to_little_endian(std::byte* values, std::uint64_t count) const {
  if (array_.little_endian || sample() == 1) return;
  for (std::uint64_t i = 0; i < count; ++i) std::reverse(values + i * sample(), values + (i + 1) * sample());
}

// The type of a number in memory; float16 stays float16.
Hdf5Handle DiskArray::memory_type() const {
  if (!array_.half) return {H5Tcopy(native(*array_.type)), H5Tclose};
  Hdf5Handle type(H5Tcopy(array_.dataset.get()), H5Tclose);  // of a dataset: its type
  H5Tset_order(type.get(), H5T_ORDER_LE);
  return type;
}

Status DiskArray::read(const Box& box, std::byte* to, ArrayFiles& files) {
  if (array_.half) halves_.resize(box.elements() * sample());
  const std::span stored(array_.half ? halves_.data() : to, box.elements() * sample());
  if (auto good = read_as_stored(box, stored.data(), files, 0); !good) return good;
  if (shows_nothing(stored)) return absent(box, "all of them have the dataset's fill value");
  if (!array_.half) return {};
  constexpr NumpyType kHalf{.type = SampleType::f32, .bytes = 2, .half = true};
  bring_home(halves_, kHalf, {to, box.elements() * sizeof(float)});
  return {};
}

Status DiskArray::read_as_stored(const Box& box, std::byte* to, ArrayFiles& files, int depth) {
  if (layout_ == H5D_VIRTUAL) {
    if (depth > kDeepest) return incomplete(what(), "it shows itself");
    return read_virtual(box, to, files, depth);
  }
  if (layout_ != H5D_CHUNKED) return read_plain(box, to);
  try {
    return read_chunks(box, to);
  } catch (const std::bad_alloc&) {  // a damaged file may claim chunks of gigabytes
    forget();
    return unreadable(what(), "there is not memory enough for its chunks of " + human_bytes(chunk_bytes_),
                      "is the file damaged? else let h5repack make smaller chunks");
  }
}

Status DiskArray::read_plain(const Box& box, std::byte* to) {
  const Hdf5Guard guard;
  std::uint64_t first = 0, last = 0;  // elements of the box in the array
  for (std::size_t i = 0; i < array_.dims.size(); ++i) {
    first = first * array_.dims[i] + box.start[i];
    last = last * array_.dims[i] + box.start[i] + box.count[i] - 1;
  }
  if (layout_ == H5D_CONTIGUOUS && !raw_files_) {
    // Behind the end of a file HDF5 reads zeros.
    const haddr_t at = H5Dget_offset(array_.dataset.get());
    if (at == HADDR_UNDEF) return absent(box, "they were never written");
    std::error_code trouble;
    const std::uint64_t size = std::filesystem::file_size(path_, trouble);
    if (!trouble && (at > size || last >= (size - at) / sample())) return absent(box, "the file ends before them");
    const std::uint64_t elements = box.elements();
    if (last + 1 - first == elements && holes_.contain(path_, at + first * sample(), elements * sample()))
      return absent(box, "they were never written (a hole of the file)");
  }
  // Behind the end of what a header has HDF5 reads whatever lies in memory.
  if (layout_ == H5D_COMPACT && last >= H5Dget_storage_size(array_.dataset.get()) / sample())
    return absent(box, "the header of the dataset ends before them");
  std::vector<hsize_t> start(box.start.begin(), box.start.end()), count(box.count.begin(), box.count.end());
  const Hdf5Handle space(H5Dget_space(array_.dataset.get()), H5Sclose);
  // The memory has the same dimensions: HDF5 maps other ones pixel by pixel (ten times slower, measured).
  const Hdf5Handle memory(
      count.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr),
      H5Sclose);
  const bool selected = box.count.empty() || H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr,
                                                                 count.data(), nullptr) >= 0;
  if (selected && H5Dread(array_.dataset.get(), memory_type().get(), memory.get(), space.get(), H5P_DEFAULT, to) >= 0)
    return {};
  return unreadable(what() + " at " + shape_text(box.start), hdf5_complaint(),
                    "the file is damaged there; h5dump shows which frames can be read");
}

// Of an array without filters the library says that each chunk has its full size, but reads as many bytes as its index
// says. Whether the last one was written shows whether those were all.
std::string DiskArray::read_stored(const std::vector<hsize_t>& corner, std::span<std::byte> stored,
                                   std::uint32_t& skipped) const {
  for (const std::byte mark : {std::byte{0xa5}, std::byte{0x5a}}) {
    stored.back() = mark;
    if (H5Dread_chunk(array_.dataset.get(), H5P_DEFAULT, corner.data(), &skipped, stored.data()) < 0)
      return hdf5_complaint();
    if (packed_ || stored.back() != mark) return {};
  }
  return "a chunk has fewer bytes than it must have";
}

Status DiskArray::load_chunk(const std::vector<std::uint64_t>& chunk, std::span<std::byte> out) {
  std::vector<hsize_t> corner(chunk.size());
  bool whole = true;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    corner[i] = chunk[i] * chunk_[i];
    whole = whole && corner[i] + chunk_[i] <= array_.dims[i];
  }
  const Box where{{corner.begin(), corner.end()}, chunk_};
  const auto damaged = [&](const std::string& why) {
    return unreadable(what() + " at " + shape_text(where.start), why,
                      "the file is damaged there, or was not written to its end; --skip-bad plays the other frames");
  };
  Hdf5Guard guard;
  hsize_t bytes = 0;
  if (H5Dget_chunk_storage_size(array_.dataset.get(), corner.data(), &bytes) < 0 || bytes == 0)
    return absent(where, "they were never written");
  if (!packed_ && indexed_bytes(corner) > chunk_bytes_) return damaged("a chunk has more bytes than it must have");
  if (chunk_is_hole(corner)) return absent(where, "they were never written (a hole of the file)");
  if (bytes > 2 * chunk_bytes_ + (std::size_t{1} << 20)) return damaged("a chunk has more bytes than any packer makes");
  const auto stored = stored_.get(bytes);
  std::uint32_t skipped = 0;
  if (const auto why = read_stored(corner, stored, skipped); !why.empty()) return damaged(why);
  if (partial_unpacked_ && !whole) skipped = ~0U;
  if (witness_) {
    if (witness_->unpack(stored, skipped == ~0U ? 0x7fff'ffffU : skipped, out)) return {};
    return damaged("its filters give another size than a chunk has");
  }
  guard.release();
  if (codec_->unpack(stored, skipped, out)) return {};
  return damaged("a chunk does not unpack to its size");
}

Result<std::span<const std::byte>> DiskArray::chunk_in_memory(const std::vector<std::uint64_t>& chunk) {
  if (const auto found = kept_.find(chunk); found != kept_.end()) return {std::span<const std::byte>(found->second)};
  const bool keep = chunk_.front() > 1 && chunk_bytes_ <= kLargestKept;
  if (!keep) {
    const auto out = unpacked_.get(chunk_bytes_);
    if (auto good = load_chunk(chunk, out); !good) return good.error();
    return {std::span<const std::byte>(out)};
  }
  if (!kept_.empty() && (kept_.begin()->first.front() != chunk.front() || kept_bytes_ + chunk_bytes_ > kLargestKept)) {
    kept_.clear();
    kept_bytes_ = 0;
  }
  std::vector<std::byte> out(chunk_bytes_);
  if (auto good = load_chunk(chunk, out); !good) return good.error();
  kept_bytes_ += chunk_bytes_;
  return {std::span<const std::byte>(kept_.emplace(chunk, std::move(out)).first->second)};
}

Status DiskArray::read_chunks(const Box& box, std::byte* to) {
  const std::size_t rank = array_.dims.size();
  if (box.count == chunk_) {
    bool aligned = true;
    std::vector<std::uint64_t> chunk(rank);
    for (std::size_t i = 0; i < rank; ++i) {
      aligned = aligned && box.start[i] % chunk_[i] == 0;
      chunk[i] = box.start[i] / chunk_[i];
    }
    if (aligned) {
      if (auto good = load_chunk(chunk, {to, chunk_bytes_}); !good) return good;
      to_little_endian(to, box.elements());
      return {};
    }
  }
  std::vector<std::uint64_t> first(rank), last(rank), now(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    first[i] = box.start[i] / chunk_[i];
    last[i] = (box.start[i] + box.count[i] - 1) / chunk_[i];
  }
  now = first;
  for (;;) {
    const auto bytes = chunk_in_memory(now);
    if (!bytes) return bytes.error();
    std::vector<std::uint64_t> extent(rank), in_chunk(rank), in_box(rank);
    for (std::size_t i = 0; i < rank; ++i) {
      const std::uint64_t corner = now[i] * chunk_[i], begin = std::max(corner, box.start[i]);
      extent[i] = std::min(corner + chunk_[i], box.start[i] + box.count[i]) - begin;
      in_chunk[i] = begin - corner;
      in_box[i] = begin - box.start[i];
    }
    for_each_run(extent, chunk_, in_chunk, box.count, in_box, [&](auto from, auto at, auto count) {
      std::memcpy(to + at * sample(), bytes->data() + from * sample(), count * sample());
    });
    std::size_t i = rank;
    while (i > 0 && now[i - 1] == last[i - 1]) {
      now[i - 1] = first[i - 1];
      --i;
    }
    if (i == 0) break;
    ++now[i - 1];
  }
  to_little_endian(to, box.elements());
  return {};
}

Status DiskArray::read_virtual(const Box& box, std::byte* to, ArrayFiles& files, int depth) {
  if (dense_) return read_rows(box, to, files, depth);
  Box row = box;
  row.count.front() = 1;
  for (std::uint64_t i = 0; i < box.count.front(); ++i) {
    row.start.front() = box.start.front() + i;
    if (auto good = read_rows(row, to + i * row.elements() * sample(), files, depth); !good) return good;
  }
  return {};
}

Status DiskArray::read_rows(const Box& rows, std::byte* to, ArrayFiles& files, int depth) {
  const std::uint64_t elements = rows.elements(), shown = shown_of(rows), row_elements = elements / rows.count.front();
  if (shown < shown_ * rows.count.front() && row_elements * array_.dims.front() == array_.elements()) {
    return absent(rows, shown == 0 ? "no file is shown there"
                                   : "files are shown for " + std::to_string(shown) + " of " +
                                         std::to_string(shown_ * rows.count.front()) + " pixels");
  }
  if (shown < elements) {  // gaps between panels, the same in every frame
    for (std::uint64_t k = 0; k < elements; ++k) std::memcpy(to + k * sample(), fill_.data(), sample());
  }
  for (Mapping& mapping : mappings_) {
    if (!mapping.within(rows)) continue;
    const auto from = source(mapping, files);
    if (!from) return absent(rows, from.error().what);
    const auto part = mapping.within(rows);  // only now: the source may have told how large it is
    const auto& dims = (*from)->dims();
    bool inside =
        dims.size() == part->there.start.size() && (*from)->type() == type() && (*from)->array_.half == array_.half;
    for (std::size_t d = 0; inside && d < dims.size(); ++d)
      inside = part->there.start[d] + part->there.count[d] <= dims[d];
    if (!inside) return absent(rows, mapping.file + " has fewer than are shown");
    const bool whole = part->here.elements() == elements;
    piece_.resize(whole ? 0 : part->here.elements() * sample());
    if (auto good = (*from)->read_as_stored(part->there, whole ? to : piece_.data(), files, depth + 1); !good)
      return good;
    if (whole) continue;
    std::vector<std::uint64_t> at(rows.start.size());
    for (std::size_t d = 0; d < at.size(); ++d) at[d] = part->here.start[d] - rows.start[d];
    for_each_run(part->here.count, part->here.count, zeros(at.size()), rows.count, at,
                 [&](auto begin, auto place, auto count) {
                   std::memcpy(to + place * sample(), piece_.data() + begin * sample(), count * sample());
                 });
  }
  return {};
}

Result<std::shared_ptr<DiskArray>> ArrayFiles::get(const std::string& path, const std::string& dataset) {
  const auto key = std::pair(path, dataset);
  if (const auto found = index_.find(key); found != index_.end()) {
    open_.splice(open_.begin(), open_, found->second);
    if (open_.size() > kKeepMemory) std::next(open_.begin(), kKeepMemory)->array->forget();
    return found->second->array;
  }
  while (open_.size() >= at_most_) {
    index_.erase({open_.back().path, open_.back().dataset});
    open_.pop_back();
  }
  auto array = DiskArray::open(path, dataset);
  if (!array) return array.error();
  open_.push_front({path, dataset, *array});
  index_[key] = open_.begin();
  if (open_.size() > kKeepMemory) std::next(open_.begin(), kKeepMemory)->array->forget();
  return std::move(*array);
}

}  // namespace peaknet::feed
