#include "tests/unit/feed/file_seeds.hpp"

#include <stdexcept>
#include <utility>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::test {
namespace {

using feed::Hdf5Handle;

constexpr shm::Geometry kPool{8, 1, 16, 16, PixelType::uint16};
constexpr hsize_t kSide = 16;
constexpr std::size_t kImage = kSide * kSide;

template <class Number>
std::vector<Number> images(std::size_t count) {
  return counting<Number>(count * kImage, 113);
}

FileWriter writer(const std::string& name) { return FileWriter(temporary_file(name)); }

NamedFile file(const std::string& name, FileWriter& from) { return {name, from.bytes()}; }

FileSeed one(const std::string& name, FileWriter from) { return {name, kPool, {{name + ".h5", from.bytes()}}}; }

template <class Number>
FileSeed stored(const std::string& name, const Storage& storage, const std::string& place = "/entry_1/data_1/data") {
  FileWriter made = writer(name);
  FileWriter& groups =
      made.add<std::uint8_t>("/entry_1/data_1/mask", {kSide, kSide}, counting<std::uint8_t>(kImage, 2));
  return {name, kPool, {file(name + ".h5", groups.add(place, {2, kSide, kSide}, images<Number>(2), storage))}};
}

FileSeed of_type(const std::string& name, hid_t type) {
  return one(name, std::move(writer(name).add_as("/data/data", {2, kSide, kSide}, type, images<double>(2))));
}

// A filter that the library alone undoes.
FileSeed filtered(const std::string& name, bool scale) {
  FileWriter made = writer(name);
  const hsize_t dims[] = {2, kSide, kSide}, chunk[] = {1, kSide, kSide};
  const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), 3, chunk);
  if (scale) {
    H5Pset_scaleoffset(creation.get(), H5Z_SO_INT, 0);
  } else {
    H5Pset_nbit(creation.get());
  }
  {
    const Hdf5Handle dataset(
        H5Dcreate2(made.file(), "/data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
        H5Dclose);
    const auto values = images<std::uint16_t>(2);
    H5Dwrite(dataset.get(), H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  }
  return one(name, std::move(made));
}

FileSeed packed(const std::string& name, H5Z_filter_t filter, const std::vector<unsigned>& values,
                const std::vector<std::byte>& chunk) {
  return one(name,
             std::move(writer(name).add_packed("/data/data", {2, kSide, kSide}, H5T_STD_U16LE, filter, values, chunk)));
}

FileSeed with_facts() {
  FileWriter made = writer("facts");
  made.add<std::uint16_t>("/entry/data/data", {2, kSide, kSide}, images<std::uint16_t>(2),
                          {.chunk = {1, kSide, kSide}, .gzip = 1})
      .add<double>("/LCLS/photon_energy_eV", {2}, {9.5, 9.6})
      .add<std::int32_t>("/LCLS/fiducial", {2}, {77, -1})
      .add<float>("/LCLS/detector_1/EncoderValue", {2}, {1.5F, 2.5F})
      .add_units("/LCLS/photon_energy_eV", "keV")
      .add_texts("/LCLS/detector_1/timestamp", {"1700000000.5", "1700000001.25"});
  return one("facts", std::move(made));
}

FileSeed linked() {
  FileWriter there = writer("there.h5");
  there.add<std::uint16_t>("/pixels", {2, kSide, kSide}, images<std::uint16_t>(2),
                           {.chunk = {2, kSide, kSide}, .shuffle = true});
  FileWriter here = writer("linked.h5");
  here.add<float>("/LCLS/photon_energy_eV", {1}, {9500.0F}).add_external_link("/data", "there.h5", "/pixels");
  return {"linked", kPool, {file("linked.h5", here), file("there.h5", there)}};
}

FileSeed dectris() {
  FileWriter master = writer("run_master.h5");
  FileSeed seed{"dectris", kPool, {}};
  master.add<std::uint32_t>("/entry/instrument/detector/pixel_mask", {kSide, kSide}, counting<std::uint32_t>(kImage, 2))
      .add<std::uint8_t>("/entry/data/about", {1}, {1});
  for (const char* number : {"1", "2"}) {
    FileWriter data = writer(std::string("run_data_") + number);
    data.add<std::uint32_t>("/entry/data/data", {1, kSide, kSide}, images<std::uint32_t>(1));
    seed.files.push_back(file(std::string("run_data_") + number + ".h5", data));
    master.add_external_link(std::string("/entry/data/data_00000") + number, seed.files.back().name,
                             "/entry/data/data");
  }
  seed.files.insert(seed.files.begin(), file("run_master.h5", master));
  return seed;
}

FileSeed shown_of_two() {
  FileSeed seed{"virtual", kPool, {}};
  const hsize_t dims[] = {4, kSide, kSide}, part[] = {2, kSide, kSide};
  FileWriter made = writer("virtual.h5");
  const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose),
      there(H5Screate_simple(3, part, nullptr), H5Sclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  for (hsize_t i = 0; i < 2; ++i) {
    const std::string name = "part" + std::to_string(i) + ".h5";
    const hsize_t start[] = {i, 0, 0}, stride[] = {2, kSide, kSide}, count[] = {2, 1, 1}, block[] = {1, kSide, kSide};
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, stride, count, block);
    H5Pset_virtual(creation.get(), space.get(), name.c_str(), "/data", there.get());
    FileWriter source = writer(name);
    source.add<std::uint16_t>("/data", {2, kSide, kSide}, images<std::uint16_t>(2), {.chunk = {1, 8, 16}, .gzip = 1});
    seed.files.push_back(file(name, source));
  }
  H5Sselect_all(space.get());
  if (const Hdf5Handle dataset(
          H5Dcreate2(made.file(), "/data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
          H5Dclose);
      !dataset)
    throw std::runtime_error("HDF5: " + feed::hdf5_complaint());
  seed.files.insert(seed.files.begin(), file("virtual.h5", made));
  return seed;
}

FileSeed raw_outside() {
  FileWriter made = writer("outside.h5");
  const hsize_t dims[] = {2, kSide, kSide};
  const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_external(creation.get(), "frames.raw", 0, H5F_UNLIMITED);
  if (const Hdf5Handle dataset(
          H5Dcreate2(made.file(), "/data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
          H5Dclose);
      !dataset)
    throw std::runtime_error("HDF5: " + feed::hdf5_complaint());
  return {"outside", kPool, {file("outside.h5", made), {"frames.raw", bytes_of(images<std::uint16_t>(2))}}};
}

FileSeed listed() {
  FileWriter made = writer("a.cxi");
  made.add<std::uint16_t>("/entry_1/data_1/data", {2, kSide, kSide}, images<std::uint16_t>(2));
  const std::string text = "# events\na.cxi //1\na.cxi //0\na.cxi\n";
  return {"list", kPool, {{"events.lst", bytes_of(std::vector<char>(text.begin(), text.end()))}, file("a.cxi", made)}};
}

}  // namespace

std::vector<FileSeed> file_seeds() {
  const feed::Hdf5Guard guard;
  const auto raw = bytes_of(images<std::uint16_t>(2));
  const Storage rows{.chunk = {1, kSide, kSide}};
  std::vector<FileSeed> all = {
      stored<std::uint16_t>("contiguous", {}),
      stored<std::uint16_t>("compact", {.compact = true}, "/entry_1/image_1/data"),
      stored<std::uint16_t>("chunks", {.chunk = {2, 5, 7}, .shuffle = true, .gzip = 1, .fletcher32 = true}),
      stored<std::int32_t>("int32", {.chunk = {1, kSide, kSide}, .gzip = 1}),
      stored<double>("found", rows, "/somewhere/else"),
      of_type("big_endian", H5T_STD_U16BE),
      of_type("float64", H5T_IEEE_F64BE),
      packed("bitshuffle_lz4", 32008, {0, 4, 2, 0, 2}, pack_bitshuffle_chunk(raw, 2, 64)),
      packed("bitshuffle_zstd", 32008, {0, 4, 2, 0, 3, 3}, pack_bitshuffle_chunk(raw, 2, 64, feed::BlockCodec::zstd)),
      packed("blosc", 32001, {2, 2, 2, 1024, 3, 1, 1}, pack_blosc(raw, 2, "lz4")),
      filtered("nbit", false),
      filtered("scaleoffset", true),
      with_facts(),
      linked(),
      dectris(),
      shown_of_two(),
      raw_outside(),
      listed(),
  };
  for (const Seed& message : seeds()) {
    const bool image =
        message.dialect != "hdf5" && message.name != "start" && message.name != "stop" && message.name != "end";
    if (image)
      all.push_back({message.dialect + "_" + message.name, kSeedFrames, {{message.name + ".bin", message.message}}});
  }
  return all;
}

}  // namespace peaknet::test
