#include "feed/decoders/hdf5_rows.hpp"

#include <algorithm>
#include <cstring>

#include "base/text.hpp"
#include "feed/decoders/bitshuffle.hpp"
#include "feed/decoders/chunk_codec.hpp"
#include "feed/decoders/zfp.hpp"
#include "feed/frame_shape.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kLargestCompact = std::size_t{64} << 10;

// Registered filters, and what their values mean.
constexpr H5Z_filter_t kBitshuffle = 32008, kZfp = 32013;
constexpr std::size_t kBitshufflePacking = 4;
constexpr unsigned kBitshuffleLz4 = 2, kBitshuffleZstd = 3;

Error damaged(const std::string& path, const std::string& what) {
  return {"hdf5.damaged", "the dataset " + path + " of an HDF5 message is damaged: " + what,
          "the message was not used; the next one is served", "look at the sender and the network between"};
}
Error bad_layout(const std::string& path, const std::string& what) {
  return {"hdf5.layout", "the dataset " + path + " of an HDF5 message " + what,
          "the message was not used; the next one is served",
          "let the sender write contiguous data, or chunks of whole images"};
}

}  // namespace

Result<Hdf5Rows> Hdf5Rows::locate(std::uint64_t message_bytes, const Hdf5Array& array, const std::string& path,
                                  std::size_t largest) {
  Hdf5Rows rows;
  rows.path_ = path;
  rows.type_ = array.type.value_or(SampleType::u8);
  rows.sample_bytes_ = array.sample_bytes();
  rows.row_bytes_ = rows.sample_bytes_;
  for (std::size_t i = 1; i < array.dims.size(); ++i) rows.row_bytes_ *= array.dims[i];
  const std::uint64_t count = array.dims.front();
  const hid_t dataset = array.dataset.get();
  const Hdf5Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (!creation) return damaged(path, hdf5_complaint());
  if (rows.row_bytes_ == 0 || count == 0) return rows;

  const auto inside = [&](haddr_t at, hsize_t bytes) {
    return at != HADDR_UNDEF && at <= message_bytes && bytes <= message_bytes - at;
  };
  switch (H5Pget_layout(creation.get())) {
    case H5D_CONTIGUOUS: {
      if (H5Pget_external_count(creation.get()) != 0) return bad_layout(path, "keeps its data in another file");
      const haddr_t at = H5Dget_offset(dataset);
      if (!inside(at, count * rows.row_bytes_)) return damaged(path, "its data lies outside the message");
      rows.rows_per_piece_ = count;
      rows.pieces_.push_back({at, count * rows.row_bytes_, false, Packing::none});
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
      rows.pieces_.push_back({0, rows.compact_.size(), false, Packing::none});
      return rows;
    }
    case H5D_CHUNKED:
      break;
    default:
      return bad_layout(path, "is virtual, or laid out in a way that is not known here");
  }

  const auto filters = filters_of(creation.get());
  const bool known_order = filters.size() <= 1 || (filters.size() == 2 && filters[0] == H5Z_FILTER_SHUFFLE &&
                                                   filters[1] == H5Z_FILTER_DEFLATE);
  Packing packing = Packing::none;
  bool shuffled = false;
  for (unsigned i = 0; i < filters.size(); ++i) {
    switch (filters[i]) {
      case H5Z_FILTER_SHUFFLE:
        shuffled = true;
        continue;
      case H5Z_FILTER_DEFLATE:
        packing = Packing::deflate;
        continue;
      case kBitshuffle: {
        // major, minor, sample bytes, block size, packing
        const auto values = filter_values(creation.get(), i);
        if (values.size() > kBitshufflePacking && values[kBitshufflePacking] == kBitshuffleLz4)
          packing = Packing::bitshuffle_lz4;
        if (values.size() > kBitshufflePacking && values[kBitshufflePacking] == kBitshuffleZstd)
          packing = Packing::bitshuffle_zstd;
        if (packing != Packing::none) continue;
        break;
      }
      case kZfp:
        packing = Packing::zfp;
        rows.filter_values_ = filter_values(creation.get(), i);
        continue;
      default:
        break;
    }
    return Error{"hdf5.filter",
                 "the dataset " + path + " of an HDF5 message is packed with the filter " + filter_name(filters[i]) +
                     ", which this version cannot undo",
                 "the message was not used; the next one is served",
                 "set the sender's compression to none, gzip, gzip with shuffle, bitshuffle with lz4 or zstd, or zfp"};
  }
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
    Piece piece{at, stored, false, Packing::none};
    // A filter that could not be applied to a chunk was left out there. Shuffle is always the first of two.
    piece.shuffled = shuffled && (skipped & 1U) == 0;
    if (packing != Packing::none && (skipped >> (filters.size() - 1) & 1U) == 0) piece.packing = packing;
    if (piece.packing == Packing::none && stored != chunk_bytes) {
      return damaged(path,
                     which + " has " + std::to_string(stored) + " bytes instead of " + std::to_string(chunk_bytes));
    }
    rows.pieces_.push_back(piece);
  }
  return rows;
}

Hdf5Rows Hdf5Rows::of_values(std::vector<std::byte> bytes, std::uint64_t count) {
  Hdf5Rows rows;
  rows.rows_per_piece_ = count;
  rows.pieces_.push_back({0, bytes.size(), false, Packing::none});
  rows.compact_ = std::move(bytes);
  return rows;
}

void Hdf5Rows::save(PackedValues& out) const {
  out.put(rows_per_piece_);
  out.put_bytes(compact_);
  out.put(filter_values_.size());
  for (const unsigned value : filter_values_) out.put(value);
  out.put(pieces_.size());
  for (const Piece& piece : pieces_) {
    out.put(piece.offset);
    out.put(piece.bytes);
    out.put((piece.shuffled ? 1U : 0U) | static_cast<std::uint64_t>(piece.packing) << 1);
  }
}

std::optional<Hdf5Rows> Hdf5Rows::load(ValueReader& in, std::span<const std::byte> message,
                                       std::span<const std::uint64_t> dims, SampleType type, std::size_t sample_bytes,
                                       const std::string& path, std::size_t largest) {
  constexpr std::uint64_t kMostFilterValues = 32;
  Hdf5Rows rows;
  rows.message_ = message;
  rows.path_ = path;
  rows.type_ = type;
  rows.sample_bytes_ = sample_bytes;
  rows.row_bytes_ = sample_bytes;
  for (const std::uint64_t n : dims.subspan(1)) {
    if (__builtin_mul_overflow(rows.row_bytes_, n, &rows.row_bytes_)) return std::nullopt;
  }
  rows.rows_per_piece_ = in.take();
  const auto compact = in.take_bytes();
  if (compact.size() > kLargestCompact) return std::nullopt;
  rows.compact_.assign(compact.begin(), compact.end());
  const std::uint64_t values = in.take();
  if (values > kMostFilterValues) return std::nullopt;
  for (std::uint64_t i = 0; i < values; ++i) rows.filter_values_.push_back(static_cast<unsigned>(in.take()));
  const std::uint64_t pieces = in.take();
  constexpr std::uint64_t kPieceBytes = 24;
  if (!in.good() || pieces > in.left() / kPieceBytes) return std::nullopt;

  // Every row must have bytes, and be in a piece, and every piece in the message; what is not packed has exactly its
  // bytes there.
  const std::uint64_t count = dims.front();
  if (count == 0) return pieces == 0 ? std::optional(std::move(rows)) : std::nullopt;
  std::uint64_t piece_bytes = 0;
  if (rows.row_bytes_ == 0 || rows.rows_per_piece_ == 0 ||
      __builtin_mul_overflow(rows.row_bytes_, rows.rows_per_piece_, &piece_bytes) ||
      pieces != (count - 1) / rows.rows_per_piece_ + 1)
    return std::nullopt;
  const std::uint64_t room = rows.compact_.empty() ? message.size() : rows.compact_.size();
  for (std::uint64_t i = 0; i < pieces; ++i) {
    Piece piece{in.take(), in.take(), false, Packing::none};
    const std::uint64_t how = in.take();
    piece.shuffled = (how & 1U) != 0;
    if (how >> 1 > static_cast<std::uint64_t>(Packing::zfp) || piece.offset > room || piece.bytes > room - piece.offset)
      return std::nullopt;
    piece.packing = static_cast<Packing>(how >> 1);
    const bool as_it_is = piece.packing == Packing::none;
    if (as_it_is ? piece.bytes != piece_bytes : piece_bytes > largest) return std::nullopt;
    if (as_it_is && piece.shuffled && piece_bytes > largest) return std::nullopt;
    rows.pieces_.push_back(piece);
  }
  return in.good() ? std::optional(std::move(rows)) : std::nullopt;
}

bool Hdf5Rows::unpack(const Piece& piece, std::span<std::byte> out, Memory& memory) const {
  const auto stored = this->stored(piece);
  switch (piece.packing) {
    case Packing::deflate:
      return memory.inflater.unpack(stored, Deflate::zlib, out);
    case Packing::bitshuffle_lz4:
    case Packing::bitshuffle_zstd:
      return unpack_bitshuffle_chunk(stored,
                                     piece.packing == Packing::bitshuffle_lz4 ? BlockCodec::lz4 : BlockCodec::zstd,
                                     sample_bytes_, out, memory.work);
    case Packing::zfp:
      return unpack_zfp(stored, filter_values_, type_, out, memory.work);
    case Packing::none:
      break;
  }
  return false;
}

Result<std::span<const std::byte>> Hdf5Rows::row(std::uint64_t index, Memory& memory) {
  const std::uint64_t number = index / rows_per_piece_;
  if (number != last_piece_) {
    const Piece& piece = pieces_[number];
    const std::size_t bytes = row_bytes_ * rows_per_piece_;
    std::span<const std::byte> now = stored(piece);
    last_piece_ = ~std::uint64_t{0};
    if (piece.packing != Packing::none) {
      const auto out = memory.unpacked.get(bytes);
      if (!unpack(piece, out, memory)) return damaged(path_, "row " + std::to_string(index) + " cannot be unpacked");
      now = out;
    }
    if (piece.shuffled && sample_bytes_ > 1) {
      const auto out = memory.unshuffled.get(bytes);
      undo_shuffle(now, out, sample_bytes_);
      now = out;
    }
    last_bytes_ = now;
    last_piece_ = number;
  }
  return last_bytes_.subspan(index % rows_per_piece_ * row_bytes_, row_bytes_);
}

}  // namespace peaknet::feed
