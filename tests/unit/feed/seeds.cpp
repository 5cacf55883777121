#include "tests/unit/feed/seeds.hpp"

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kEvents = 2, kEvent = std::size_t{2} * 5 * 6;
constexpr std::uint64_t kTime = std::uint64_t{1362118138} << 32 | 401'000'000U;

std::vector<float> images() { return counting<float>(kEvents * kEvent, 41); }
std::vector<std::uint64_t> times() { return {kTime, kTime + 200'000'000}; }
std::vector<double> wavelengths() { return {0.127, 0.128}; }

Bytes npz(bool deflate, bool padded) {
  NpzWriter writer(deflate);
  if (padded) {
    writer.add<double>("detector_data", {2 * kEvents, 1, 7, 8}, std::vector<double>(2 * kEvents * 7 * 8, 3.5))
        .add<std::int32_t>("detector_data_original_shape", {4}, {2, 2, 5, 6});
  } else {
    writer.add<float>("detector_data", {kEvents, 2, 5, 6}, images());
  }
  return writer.add<std::uint64_t>("timestamp", {kEvents}, times())
      .add<double>("photon_wavelength", {kEvents}, wavelengths())
      .bytes();
}

Bytes hdf5(const Storage& images_as, const Storage& columns_as, const std::string& folder) {
  return FileWriter(temporary_file("seed.h5"))
      .add(folder + (folder.empty() ? "/detector_data" : "/data"), {kEvents, 2, 5, 6}, images(), images_as)
      .add(folder + "/timestamp", {kEvents}, times(), columns_as)
      .add(folder + (folder.empty() ? "/photon_wavelength" : "/wavelength"), {kEvents}, wavelengths(), columns_as)
      .bytes();
}
Bytes hdf5_packed(H5Z_filter_t filter, const std::vector<unsigned>& values, const Bytes& chunk, hsize_t events) {
  return FileWriter(temporary_file("seed.h5"))
      .add_packed("/data/data", {events, 2, 5, 6}, H5T_IEEE_F32LE, filter, values, chunk)
      .bytes();
}
Bytes hdf5_zfp() {
  const auto all = images();
  const auto chunk = pack_zfp({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kEvent)}, 10, 6);
  return hdf5_packed(32013, chunk.values, chunk.bytes, 1);
}

Bytes simplon_image(const std::string& run, const std::string& type, char lead) {
  const auto raw = images();
  return CborWriter()
      .text("type", "image")
      .number(run, 14)
      .bytes("compressed_data",
             pack_bitshuffle(bytes_of(std::vector<float>(raw.begin(), raw.begin() + kEvent)), 4, 4096))
      .text(type, "float32")
      .number("timestamp", kTime)
      .number("message_id", 1)
      .real("photon_energy", 9763.0)
      .message(lead);
}

Bytes fast_binary(std::uint8_t packing, const std::string& codec) {
  const Bytes raw = bytes_of(images());
  return FastBinaryWriter()
      .add("data/timestamp", "<u8", {kEvents}, bytes_of(times()))
      .add("data/data", "<f4", {kEvents, 2, 5, 6}, raw, packing, packing == 0 ? Bytes{} : pack_blosc(raw, 4, codec))
      .add("data/wavelength", "<f8", {kEvents}, bytes_of(wavelengths()))
      .message();
}

}  // namespace

std::vector<Seed> seeds() {
  const Storage rows{.chunk = {1, 2, 5, 6}}, column{.chunk = {1}};
  const Bytes raw = bytes_of(images());
  using feed::BlockCodec;
  return {
      {"npz", "stored", npz(false, false)},
      {"npz", "deflated", npz(true, false)},
      {"npz", "merged_padded", npz(true, true)},
      {"hdf5", "contiguous", hdf5({}, {}, "/data")},
      {"hdf5", "chunked_flat", hdf5(rows, column, "")},
      {"hdf5", "gzip_shuffle", hdf5({.chunk = {1, 2, 5, 6}, .shuffle = true, .gzip = 3}, column, "/data")},
      {"hdf5", "bitshuffle_lz4", hdf5_packed(32008, {0, 4, 4, 0, 2}, pack_bitshuffle_chunk(raw, 4, 2048), kEvents)},
      {"hdf5", "bitshuffle_zstd",
       hdf5_packed(32008, {0, 4, 4, 0, 3, 3}, pack_bitshuffle_chunk(raw, 4, 64, BlockCodec::zstd), kEvents)},
      {"hdf5", "zfp", hdf5_zfp()},
      {"simplon", "start",
       CborWriter()
           .text("type", "start")
           .number("run_number", 14)
           .text("shape", "2x5x6")
           .text("algorithm", "bitshuffle-lz4")
           .list("axis", {0, 1, 0})
           .message('c')},
      {"simplon", "image_lead", simplon_image("run", "dtype", 'm')},
      {"simplon", "image_bare", simplon_image("run_id", "image_dtype", 0)},
      {"simplon", "stop", CborWriter().text("type", "stop").number("run", 14).message('c')},
      {"simplon", "end", CborWriter().text("type", "end").number("run_id", 14).message()},
      {"fast_binary", "none", fast_binary(0, "")},
      {"fast_binary", "lz4", fast_binary(1, "lz4")},
      {"fast_binary", "zstd", fast_binary(2, "zstd")},
  };
}

}  // namespace peaknet::test
