#include "feed/decoders/hdf5_image.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <utility>

#include "feed/decoders/batch.hpp"
#include "feed/decoders/rehearsal.hpp"
#include "feed/frame_shape.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kMostCandidates = 16;
constexpr std::chrono::seconds kLongestRehearsal{10};
constexpr std::size_t kLargestColumn = std::size_t{1} << 20;  // bytes of one chunk of it

// The message as the file of HDF5's core driver, without a copy: the library asks for memory to put the image into, and
// is given the message itself. It only reads.
void* image_memory(std::size_t, H5FD_file_image_op_t, void* message) { return message; }
void* image_copy(void* to, const void* from, std::size_t bytes, H5FD_file_image_op_t, void*) {
  if (to != from) std::memcpy(to, from, bytes);
  return to;
}
void* image_resize(void*, std::size_t, H5FD_file_image_op_t, void*) { return nullptr; }
herr_t image_free(void*, H5FD_file_image_op_t, void*) { return 0; }
void* same_message(void* message) { return message; }
herr_t keep_message(void*) { return 0; }

Hdf5Handle open_message(std::span<const std::byte> message) {
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  void* bytes = const_cast<std::byte*>(message.data());
  H5FD_file_image_callbacks_t callbacks{image_memory, image_copy,   image_resize, image_free,
                                        same_message, keep_message, bytes};
  H5Pset_fapl_core(access.get(), 65536, false);
  H5Pset_file_image_callbacks(access.get(), &callbacks);
  H5Pset_file_image(access.get(), bytes, message.size());
  // Two files of one name would be taken for the same.
  static std::atomic<std::uint64_t> number{0};
  const std::string name = "message " + std::to_string(number.fetch_add(1));
  return {H5Fopen(name.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose};
}

Error missing(const std::string& what, const std::string& remedy) {
  return {"message.missing-field", what, "the message was not used; the next one is served", remedy};
}

Result<Hdf5Found> find_images(hid_t file, const DecodeOptions& options) {
  if (auto found = open_first(file, image_places(options), ExternalLinks::refuse)) return std::move(*found);
  auto candidates = image_like(file, kMostCandidates);
  if (candidates.size() == 1) return std::move(candidates.front());
  std::string names;
  for (const auto& [path, array] : candidates) names += (names.empty() ? "" : ", ") + path;
  return missing("an HDF5 message has no dataset " + options.image +
                     " or /data/data; image-like are: " + (names.empty() ? "none" : names),
                 "name the sender's image field with --image-field");
}

// The first of `places` that is there: a field with one number per event.
Result<std::optional<Column>> read_column(std::span<const std::byte> message, hid_t file,
                                          const std::vector<std::string>& places, std::uint64_t events) {
  const auto found = open_first(file, places, ExternalLinks::refuse);
  if (!found) return std::optional<Column>{};
  const auto& dims = found->array.dims;
  if (dims.empty() || dims.front() != events || found->array.elements() != events || !found->array.little_endian) {
    return bad_field(found->path, "has the shape " + shape_text(dims) + " for " + std::to_string(events) + " events");
  }
  const std::size_t bytes = size_of(*found->array.type);
  auto rows = Hdf5Rows::locate(message, found->array, found->path, kLargestColumn);
  if (!rows) return rows.error();
  Column column{*found->array.type, std::vector<std::byte>(events * bytes)};
  Hdf5Rows::Memory memory;
  for (std::uint64_t i = 0; i < events; ++i) {
    const auto row = rows->row(i, memory);
    if (!row) return row.error();
    std::memcpy(column.bytes.data() + i * bytes, row->data(), bytes);
  }
  return std::optional(std::move(column));
}

}  // namespace

Hdf5ImageDecoder::Hdf5ImageDecoder(DecodeOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<FrameSource>> Hdf5ImageDecoder::open(std::span<const std::byte> message,
                                                            const shm::Geometry& geometry) {
  const Hdf5Guard guard;
  const Rehearsal rehearsal = rehearse([&] { (void)locate(message, geometry); }, kLongestRehearsal);
  if (rehearsal == Rehearsal::crashed || rehearsal == Rehearsal::hung) {
    return Error{"hdf5.damaged",
                 "an HDF5 message makes the HDF5 library " +
                     std::string(rehearsal == Rehearsal::crashed ? "crash" : "run without end"),
                 "that was a copy of this process: nothing else was touched, and the next message is served",
                 "look at the sender and the network between"};
  }
  return locate(message, geometry);
}

Result<std::unique_ptr<FrameSource>> Hdf5ImageDecoder::locate(std::span<const std::byte> message,
                                                              const shm::Geometry& geometry) {
  const Hdf5Handle file = open_message(message);
  if (!file) {
    return Error{"hdf5.damaged", "an HDF5 message cannot be opened: " + hdf5_complaint(),
                 "it was not used; the next message is served", "look at the sender and the network between"};
  }
  const auto images = find_images(file.get(), options_);
  if (!images) return images.error();
  const Hdf5Array& array = images->array;
  if (!array.little_endian) return bad_field(images->path, "is big-endian");
  const auto plan = plan_batch(array.dims, *array.type, {}, {}, geometry, options_);
  if (!plan) return plan.error();
  auto rows = Hdf5Rows::locate(message, array, images->path, options_.limits.unpacked_bytes);
  if (!rows) return rows.error();

  BatchFacts facts;
  const auto times = read_column(message, file.get(), timestamp_places(options_), plan->events);
  if (!times) return times.error();
  if (*times) facts.timestamps = (*times)->timestamps();
  const auto wavelengths = read_column(message, file.get(), wavelength_places(options_), plan->events);
  if (!wavelengths) return wavelengths.error();
  if (*wavelengths) facts.energies = (*wavelengths)->energies(options_.wavelength_unit);

  // Merged panels: an event is several rows. They lie together only where a piece holds them all, so they are gathered.
  const std::uint64_t rows_per_event = array.dims.front() / std::max<std::uint64_t>(1, plan->events);
  const auto located = std::make_shared<Hdf5Rows>(std::move(*rows));
  EventBytes bytes = [this, located](std::uint64_t event) { return located->row(event, memory_); };
  if (rows_per_event > 1) {
    const std::size_t row_bytes = plan->height * plan->width * size_of(*array.type);
    bytes = [this, located, rows_per_event, row_bytes](std::uint64_t event) -> Result<std::span<const std::byte>> {
      const auto gathered = gathered_.get(rows_per_event * row_bytes);
      for (std::uint64_t i = 0; i < rows_per_event; ++i) {
        const auto row = located->row(event * rows_per_event + i, memory_);
        if (!row) return row.error();
        std::memcpy(gathered.data() + i * row_bytes, row->data(), row_bytes);
      }
      return std::span<const std::byte>(gathered);
    };
  }
  return std::unique_ptr<FrameSource>(std::make_unique<BatchSource>(geometry, *plan, *array.type, std::move(bytes),
                                                                    std::move(facts), options_.normalised));
}

}  // namespace peaknet::feed
