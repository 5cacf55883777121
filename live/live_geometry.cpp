#include "live/live_geometry.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <vector>

#include "cxi/hdf5.hpp"
#include "cxi/posix_file.hpp"
#include "live/crystfel_message.hpp"

namespace peaknet::live {
namespace {

constexpr const char* kMaskDataset = "/entry_1/data_1/mask";

std::string_view stripped(std::string_view text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

struct Assignment {
  std::string_view key;  // without its panel
  std::string_view value;
};
std::optional<Assignment> assignment(std::string_view line) {
  line = line.substr(0, line.find(';'));
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  std::string_view key = stripped(line.substr(0, equals));
  if (const std::size_t slash = key.rfind('/'); slash != std::string_view::npos) key.remove_prefix(slash + 1);
  return Assignment{key, stripped(line.substr(equals + 1))};
}

bool is_number(std::string_view value) {
  const std::string text(value);
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return end != text.c_str();
}

// What says where in a file something lies.
bool is_of_files(const Assignment& line) {
  const std::string_view key = line.key;
  if (key.starts_with("dim") && key.size() == 4) return true;
  if (key == "data" || key == "peak_list" || key == "saturation_map" || key == "saturation_map_file") return true;
  if (key.starts_with("mask")) return true;
  const bool measured = key == "photon_energy" || key == "wavelength" || key == "electron_voltage" || key == "clen";
  return measured && !is_number(line.value);
}

Status put_in_place(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code failed;
  std::filesystem::rename(from, to, failed);
  if (failed) return writer::disk_error("rename " + from.filename().string() + " to", to, failed.value());
  return {};
}

}  // namespace

std::string live_geometry(std::string_view geometry, const writer::FileFacts& facts, const std::string& mask_file) {
  std::string body;
  bool energy_is_number = false;
  bool clen_is_file = false;
  while (!geometry.empty()) {
    const std::size_t end = std::min(geometry.find('\n'), geometry.size());
    const std::string_view line = geometry.substr(0, end);
    geometry.remove_prefix(std::min(end + 1, geometry.size()));
    const auto found = assignment(line);
    const bool of_files = found && is_of_files(*found);
    if (found && !of_files && (found->key == "photon_energy" || found->key == "wavelength")) energy_is_number = true;
    if (of_files && found->key == "clen") clen_is_file = true;
    body += (of_files ? "; of files: " : "") + std::string(line) + "\n";
  }
  std::string head = "; Made by peaknet-live of output.geometry, for indexamajig --zmq-input. Images are " +
                     std::to_string(facts.slab_height()) + " x " + std::to_string(facts.slab_width()) + " (ss, fs).\n";
  head += std::string("data = ") + kImageKey + "\n";
  head += std::string("peak_list = ") + kPeaksKey + "\n";
  if (!energy_is_number) head += std::string("photon_energy = ") + kEnergyKey + " eV\n";
  if (clen_is_file) head += std::string("clen = ") + kEncoderKey + " mm\n";
  head += "mask0_file = " + mask_file + "\n";
  head += std::string("mask0_data = ") + kMaskDataset + "\n";
  head += "mask0_goodbits = 0x0000\nmask0_badbits = 0xffff\n\n";
  return head + body;
}

Status write_mask_file(const std::filesystem::path& path, const writer::FileFacts& facts,
                       std::span<const std::uint16_t> mask) {
  const std::filesystem::path temporary = path.string() + ".new";
  {
    const auto guard = writer::use_hdf5();
    writer::H5Handle file(H5Fcreate(temporary.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    if (!file.ok()) return writer::hdf5_error("make", temporary);
    writer::H5Writer out(file.get(), temporary);
    out.packed_dataset(kMaskDataset, std::vector<std::uint16_t>(mask.begin(), mask.end()), facts.slab_width());
    if (!out.status()) return out.status();
    if (!file.close()) return writer::hdf5_error("close", temporary);
  }
  return put_in_place(temporary, path);
}

Status write_text_file(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path temporary = path.string() + ".new";
  {
    const auto file = writer::PosixFile::open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file) return file.error();
    if (auto written = file->write_at(0, std::as_bytes(std::span(text))); !written) return written;
  }
  return put_in_place(temporary, path);
}

}  // namespace peaknet::live
