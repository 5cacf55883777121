#include "tests/unit/cxi/samples.hpp"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>

#include "cxi/compression.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/reader.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {

TempFolder::TempFolder() {
  std::string pattern = std::filesystem::current_path() / "files-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code left;
  std::filesystem::remove_all(path_, left);
}

std::vector<std::string> TempFolder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

SmallDisk::SmallDisk(std::uint64_t bytes)
    : mounted_(::mount("none", folder_.path().c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) == 0) {}

SmallDisk::~SmallDisk() {
  if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
}

writer::FileFacts sample_facts() {
  writer::FileFacts facts;
  facts.instance = "sample";
  facts.instance_uuid = 77;
  facts.writer = 4;
  facts.host = "node";
  facts.run = "0217";
  facts.created_ns = 1'790'000'000'123'456'789;
  facts.panels = 2;
  facts.height = 32;
  facts.width = 65;
  facts.with_photon_energy = true;
  facts.min_num_peak = 10;
  facts.max_num_peak = 2048;
  facts.centroid = "unweighted";
  facts.config = "instance: sample\n";
  facts.model = "builtin:identity";
  facts.version = "0";
  facts.commit = "unknown";
  return facts;
}

writer::Event sample_event(std::uint64_t number) {
  writer::Event event;
  event.key = {"0217", 3, number};
  event.event_id = 1000 + number;
  event.timestamp = std::uint64_t{1'790'000'000} << 32 | number;
  event.photon_energy_ev = 9500.0 + static_cast<double>(number);
  event.fiducial = static_cast<std::uint32_t>(3 * number);
  event.encoder_value = -572.5 + static_cast<double>(number);
  event.source_run = "r0012";
  event.original_height = 32;
  event.original_width = 65;
  for (std::uint64_t i = 0; i < 10 + number % 5; ++i) {
    const auto panel = i % 2;
    event.peaks.push_back({.x = static_cast<float>(i * 3) + 0.25F,
                           .y = static_cast<float>(panel * 32 + (i + number) % 31) + 0.125F,
                           .total = static_cast<float>(100 * i + number),
                           .maximum = static_cast<float>(i + 7),
                           .n_pixels = 5,
                           .snr = 3.5F,
                           .panel = static_cast<float>(panel)});
  }
  return event;
}

std::vector<std::byte> sample_image(std::uint64_t number, const writer::FileFacts& facts) {
  std::vector<std::byte> bytes(facts.image_bytes());
  std::uint64_t state = number * 0x9e37'79b9'7f4a'7c15ULL + 1;
  for (std::size_t i = 0; i + 2 <= bytes.size(); i += 2) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto count = static_cast<std::uint16_t>(state >> 60);  // few counts, as a detector has
    std::memcpy(bytes.data() + i, &count, 2);
  }
  return bytes;
}

std::vector<std::byte> sample_segmentation(std::uint64_t number, const writer::FileFacts& facts) {
  std::vector<std::byte> bytes(facts.segmentation_bytes());
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>((i + number) % 7 == 0);
  return bytes;
}

shm::ColumnTable sample_columns(std::uint32_t length) {
  const auto column = [](const char* name, shm::ColumnType type, std::uint32_t values, const char* unit) {
    return shm::Column{.name = name,
                       .dataset = std::string("/LCLS/") + name,
                       .unit = unit,
                       .type = type,
                       .length = values,
                       .unknown = shm::usual_unknown(type)};
  };
  return must(shm::ColumnTable::make(
      {column("laser_on", shm::ColumnType::uint8, 0, ""), column("spectrum", shm::ColumnType::float32, length, "eV")}));
}

void leave_orphan(const std::filesystem::path& final_path, const writer::FileFacts& facts, std::uint64_t durable,
                  std::uint64_t more) {
  auto ledger = must(writer::Ledger::create(final_path, facts));
  auto file = must(writer::CxiFile::create(writer::part_of(final_path), facts));
  writer::BitshuffleLz4 codec, mask_codec;
  for (std::uint64_t number = 0; number < durable + more; ++number) {
    const auto image = sample_image(number, facts);
    std::span<const std::byte> stored(image);
    if (!facts.with_images) stored = {};
    if (facts.filter == writer::Filter::bitshuffle_lz4) stored = codec.compress(image, 2);
    const auto mask = facts.with_segmentation ? sample_segmentation(number, facts) : std::vector<std::byte>();
    std::span<const std::byte> stored_mask(mask);
    if (!mask.empty() && facts.filter == writer::Filter::bitshuffle_lz4) stored_mask = mask_codec.compress(mask, 1);
    must(file.make_room(stored.size() + stored_mask.size(), 20));
    must(file.append(sample_event(number), stored, stored_mask));
  }
  must(ledger.append(std::span(file.events()).first(durable)));
  file.abandon();
}

std::filesystem::path finish_file(const std::filesystem::path& folder, const std::string& run, int chunk,
                                  std::uint64_t first, std::uint64_t events, const writer::FileFacts& facts) {
  const std::string number = std::to_string(chunk);
  const auto path = folder / ("p_run" + run + "_chunk000" + number + "_20261121_101500_00000" + number + "_w3.cxi");
  const std::filesystem::path part = path.string() + ".part";
  auto file = must(writer::CxiFile::create(part, facts));
  writer::BitshuffleLz4 codec;
  for (std::uint64_t i = first; i < first + events; ++i) {
    const auto image = sample_image(i, facts);
    auto event = sample_event(i);
    if (!facts.with_photon_energy) event.photon_energy_ev = std::numeric_limits<double>::quiet_NaN();
    const auto mask = facts.with_segmentation ? sample_segmentation(i, facts) : std::vector<std::byte>();
    must(file.append(event,
                     facts.filter == writer::Filter::none ? std::span<const std::byte>(image)
                                                          : codec.compress(image, size_of(facts.pixel_type)),
                     mask));
  }
  must(file.finish({}));
  std::filesystem::rename(part, path);
  return path;
}

std::string difference(const std::filesystem::path& file, std::size_t row, std::uint64_t number,
                       const writer::FileFacts& facts) {
  const auto reader = writer::CxiReader::open(file);
  if (!reader) return reader.error().text();
  const auto found = reader->read(row);
  if (!found) return found.error().text();
  const auto expected = sample_event(number);
  if (found->identifier != describe(expected.key)) return "identifier " + found->identifier;
  if (found->peaks != expected.peaks) return "peaks of " + found->identifier;
  if (found->photon_energy_ev != expected.photon_energy_ev) return "photon energy of " + found->identifier;
  const auto mask = std::as_bytes(std::span(found->segmentation));
  const auto expected_mask = facts.with_segmentation ? sample_segmentation(number, facts) : std::vector<std::byte>();
  if (!std::equal(mask.begin(), mask.end(), expected_mask.begin(), expected_mask.end()))
    return "mask of " + found->identifier;
  const auto image = facts.with_images ? sample_image(number, facts) : std::vector<std::byte>(facts.image_bytes());
  return found->pixels == image ? "" : "image of " + found->identifier;
}

std::shared_ptr<const writer::BadMask> bad_mask(const writer::FileFacts& facts,
                                                const std::vector<std::array<std::uint32_t, 3>>& pixels) {
  writer::BadMask bad;
  bad.words.resize(facts.mask_words());
  const std::size_t words_per_row = (std::size_t{facts.width} + 63) / 64;
  for (const auto& [panel, y, x] : pixels)
    bad.words[(std::size_t{panel} * facts.height + y) * words_per_row + x / 64] |= std::uint64_t{1} << x % 64;
  bad.count = pixels.size();
  bad.digest = "0123456789abcdef";
  bad.of_model = "0123456789abcdef";
  return std::make_shared<const writer::BadMask>(std::move(bad));
}

std::vector<double> numbers_of(const std::filesystem::path& file, const std::string& dataset) {
  const auto guard = writer::use_hdf5();
  const writer::H5Handle opened(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const writer::H5Handle set(H5Dopen2(opened.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return {};
  const writer::H5Handle space(H5Dget_space(set.get()), H5Sclose);
  std::vector<double> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())));
  if (H5Dread(set.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) return {};
  return values;
}

std::string attribute_of(const std::filesystem::path& file, const std::string& object, const std::string& name) {
  const auto guard = writer::use_hdf5();
  const writer::H5Handle opened(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const writer::H5Handle attribute(
      H5Aopen_by_name(opened.get(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!attribute.ok()) return "(none)";
  const writer::H5Handle type(H5Aget_type(attribute.get()), H5Tclose);
  char* text = nullptr;
  if (H5Aread(attribute.get(), type.get(), &text) < 0 || text == nullptr) return "(none)";
  std::string copy(text);
  H5free_memory(text);
  return copy;
}

std::string failing_items(const std::filesystem::path& file, const std::string& options) {
  const std::string script = source_dir() + "/tests/integration/cxi_items.py";
  auto check =
      Child::start({"/bin/sh", "-c", "exec /usr/bin/python3 '" + script + "' " + options + " '" + file.string() + "'"});
  const Exit exit = check.wait();
  if (exit == Exit::code(0)) return "";
  return exit == Exit::code(77) ? "skipped" : check.out() + check.err();
}

std::vector<std::byte> read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

void write_all(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace peaknet::test
