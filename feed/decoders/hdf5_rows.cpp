#include "feed/decoders/hdf5_rows.hpp"

#include <algorithm>
#include <cstring>

#include "base/text.hpp"
#include "feed/decoders/inflater.hpp"
#include "feed/frame_shape.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kLargestCompact = std::size_t{64} << 10;

Error damaged(const std::string& path, const std::string& what) {
  return {"hdf5.damaged", "the dataset " + path + " of an HDF5 message is damaged: " + what,
          "the message was not used; the next one is served", "look at the sender and the network between"};
}
Error bad_layout(const std::string& path, const std::string& what) {
  return {"hdf5.layout", "the dataset " + path + " of an HDF5 message " + what,
          "the message was not used; the next one is served",
          "let the sender write contiguous data, or chunks of whole images"};
}

void undo_shuffle(std::span<const std::byte> from, std::span<std::byte> to, std::size_t sample_bytes) {
  const std::size_t samples = from.size() / sample_bytes;
  for (std::size_t byte = 0; byte < sample_bytes; ++byte) {
    const std::byte* plane = from.data() + byte * samples;
    for (std::size_t i = 0; i < samples; ++i) to[i * sample_bytes + byte] = plane[i];
  }
}

}  // namespace

Result<Hdf5Rows> Hdf5Rows::locate(std::span<const std::byte> message, const Hdf5Array& array, const std::string& path,
                                  std::size_t largest) {
  Hdf5Rows rows;
  rows.path_ = path;
  rows.sample_bytes_ = size_of(*array.type);
  rows.row_bytes_ = rows.sample_bytes_;
  for (std::size_t i = 1; i < array.dims.size(); ++i) rows.row_bytes_ *= array.dims[i];
  const std::uint64_t count = array.dims.front();
  const hid_t dataset = array.dataset.get();
  const Hdf5Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (!creation) return damaged(path, hdf5_complaint());
  if (rows.row_bytes_ == 0 || count == 0) return rows;

  const auto inside = [&](haddr_t at, hsize_t bytes) {
    return at != HADDR_UNDEF && at <= message.size() && bytes <= message.size() - at;
  };
  switch (H5Pget_layout(creation.get())) {
    case H5D_CONTIGUOUS: {
      if (H5Pget_external_count(creation.get()) != 0) return bad_layout(path, "keeps its data in another file");
      const haddr_t at = H5Dget_offset(dataset);
      if (!inside(at, count * rows.row_bytes_)) return damaged(path, "its data lies outside the message");
      rows.rows_per_piece_ = count;
      rows.pieces_.push_back({message.subspan(at, count * rows.row_bytes_), false, false});
      return rows;
    }
    case H5D_COMPACT: {
      if (count * rows.row_bytes_ > kLargestCompact) return damaged(path, "compact data of this size cannot be");
      rows.compact_.resize(count * rows.row_bytes_);
      const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
      if (!type || H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.compact_.data()) < 0) {
        return damaged(path, hdf5_complaint());
      }
      rows.rows_per_piece_ = count;
      rows.pieces_.push_back({rows.compact_, false, false});
      return rows;
    }
    case H5D_CHUNKED:
      break;
    default:
      return bad_layout(path, "is virtual, or laid out in a way that is not known here");
  }

  const auto filters = filters_of(creation.get());
  for (const H5Z_filter_t filter : filters) {
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE) {
      return Error{"hdf5.filter",
                   "the dataset " + path + " of an HDF5 message is packed with the filter " + filter_name(filter) +
                       ", which this version cannot undo",
                   "the message was not used; the next one is served",
                   "set the sender's compression to none, gzip or gzip with shuffle"};
    }
  }
  const bool known_order =
      filters.empty() || (filters.size() == 1) ||
      (filters.size() == 2 && filters[0] == H5Z_FILTER_SHUFFLE && filters[1] == H5Z_FILTER_DEFLATE);
  if (!known_order) return bad_layout(path, "has its filters in an order that nobody writes");

  std::vector<hsize_t> chunk(array.dims.size());
  if (H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) != static_cast<int>(chunk.size())) {
    return damaged(path, hdf5_complaint());
  }
  if (chunk.front() < 1 || !std::equal(chunk.begin() + 1, chunk.end(), array.dims.begin() + 1)) {
    return bad_layout(path, "has chunks of " + shape_text(std::vector<std::uint64_t>(chunk.begin(), chunk.end())) +
                                " that are no whole rows of " + shape_text(array.dims));
  }
  std::size_t chunk_bytes = rows.row_bytes_;
  if (__builtin_mul_overflow(chunk_bytes, static_cast<std::size_t>(chunk.front()), &chunk_bytes) ||
      chunk_bytes > largest) {
    return bad_layout(path, "has chunks larger than the " + human_bytes(largest) + " allowed");
  }
  rows.rows_per_piece_ = chunk.front();
  std::vector<hsize_t> corner(array.dims.size(), 0);
  for (corner.front() = 0; corner.front() < count; corner.front() += chunk.front()) {
    unsigned skipped = 0;
    haddr_t at = HADDR_UNDEF;
    hsize_t stored = 0;
    if (H5Dget_chunk_info_by_coord(dataset, corner.data(), &skipped, &at, &stored) < 0) {
      return damaged(path, hdf5_complaint());
    }
    const std::string which = "the chunk of row " + std::to_string(corner.front());
    if (!inside(at, stored)) return damaged(path, which + " lies outside the message");
    Piece piece{message.subspan(at, stored), false, false};
    for (std::size_t i = 0; i < filters.size(); ++i) {
      if ((skipped >> i & 1U) != 0) continue;
      (filters[i] == H5Z_FILTER_DEFLATE ? piece.deflated : piece.shuffled) = true;
    }
    if (!piece.deflated && stored != chunk_bytes) {
      return damaged(path,
                     which + " has " + std::to_string(stored) + " bytes instead of " + std::to_string(chunk_bytes));
    }
    rows.pieces_.push_back(piece);
  }
  return rows;
}

Result<std::span<const std::byte>> Hdf5Rows::row(std::uint64_t index, Scratch& inflated, Scratch& unshuffled) {
  const std::uint64_t number = index / rows_per_piece_;
  if (number != last_piece_) {
    const Piece& piece = pieces_[number];
    const std::size_t bytes = row_bytes_ * rows_per_piece_;
    std::span<const std::byte> now = piece.stored;
    last_piece_ = ~std::uint64_t{0};
    if (piece.deflated) {
      const auto out = inflated.get(bytes);
      Inflater inflater(piece.stored, Inflater::Format::zlib);
      if (!inflater.read(out) || !inflater.at_end())
        return damaged(path_, "row " + std::to_string(index) + " cannot be unpacked");
      now = out;
    }
    if (piece.shuffled && sample_bytes_ > 1) {
      const auto out = unshuffled.get(bytes);
      undo_shuffle(now, out, sample_bytes_);
      now = out;
    }
    last_bytes_ = now;
    last_piece_ = number;
  }
  return last_bytes_.subspan(index % rows_per_piece_ * row_bytes_, row_bytes_);
}

}  // namespace peaknet::feed
