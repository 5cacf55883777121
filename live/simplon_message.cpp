#include "live/simplon_message.hpp"

#include <lz4.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/bit_shuffle.hpp"
#include "base/text.hpp"
#include "live/column_values.hpp"

namespace peaknet::live {
namespace {

using nlohmann::json;

constexpr std::size_t kBlockElements = 4096;

Bytes message(const SimplonDialect& dialect, char lead, const json& map) {
  Bytes out;
  if (dialect.lead) out.push_back(static_cast<std::uint8_t>(lead));
  json::to_cbor(map, out);
  return out;
}

// A number where it is one, as lclstreamer's; a name with other characters as a text.
json run_value(const std::string& run) {
  const auto number = number_in<std::uint64_t>(run);
  return number ? json(*number) : json(run);
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Panels that are stacked are panels again.
std::string shape_text(const writer::FileFacts& facts) {
  if (!facts.slab.places.empty()) return std::to_string(facts.slab_height()) + "x" + std::to_string(facts.slab_width());
  return std::to_string(facts.panels) + "x" + std::to_string(facts.height) + "x" + std::to_string(facts.width);
}

template <class Number>
double sum_of(std::span<const std::byte> pixels) {
  double sum = 0;
  for (std::size_t at = 0; at + sizeof(Number) <= pixels.size(); at += sizeof(Number)) {
    Number value;
    std::memcpy(&value, pixels.data() + at, sizeof value);
    sum += static_cast<double>(value);
  }
  return sum;
}

double sum_of(PixelType type, std::span<const std::byte> pixels) {
  if (type == PixelType::uint16) return sum_of<std::uint16_t>(pixels);
  if (type == PixelType::int16) return sum_of<std::int16_t>(pixels);
  return sum_of<float>(pixels);
}

}  // namespace

std::vector<std::uint8_t> packed_blocks(std::span<const std::byte> pixels, std::size_t element_bytes) {
  const std::size_t block_bytes = kBlockElements * element_bytes;
  std::vector<std::byte> shuffled(block_bytes);
  std::vector<std::byte> scratch(block_bytes);
  std::vector<std::uint8_t> out;
  out.reserve(pixels.size() / 2);
  while (pixels.size() / element_bytes >= 8) {  // the last block may be short
    const std::size_t elements = std::min(kBlockElements, pixels.size() / element_bytes / 8 * 8);
    const std::size_t bytes = elements * element_bytes;
    bit_shuffle(pixels.data(), shuffled.data(), scratch.data(), elements, element_bytes);
    const std::size_t at = out.size();
    const int room = LZ4_compressBound(static_cast<int>(bytes));
    out.resize(at + 4 + static_cast<std::size_t>(room));
    const int size = LZ4_compress_default(reinterpret_cast<const char*>(shuffled.data()),
                                          reinterpret_cast<char*>(out.data() + at + 4), static_cast<int>(bytes), room);
    for (unsigned byte = 0; byte < 4; ++byte)
      out[at + byte] = static_cast<std::uint8_t>(static_cast<unsigned>(size) >> (24 - 8 * byte));
    out.resize(at + 4 + static_cast<std::size_t>(size));
    pixels = pixels.subspan(bytes);
  }
  const auto* rest = reinterpret_cast<const std::uint8_t*>(pixels.data());
  out.insert(out.end(), rest, rest + pixels.size());
  return out;
}

Bytes simplon_start(const SimplonDialect& dialect, const writer::FileFacts& facts, const std::string& run) {
  const std::string type(name(facts.pixel_type));
  return message(dialect, 'c',
                 {{"type", "start"},
                  {dialect.old_names ? "run_number" : "run_id", run_value(run)},
                  {"start_time", iso_time(facts.created_ns)},
                  {"beam_type", "X-ray"},
                  {dialect.old_names ? "datatype" : "image_dtype", type},
                  {"shape", shape_text(facts)},
                  {"algorithm", "bitshuffle-lz4"},
                  {"detector", {{"name", facts.instance}, {"id", facts.instance}}},
                  {"message_id", 1},
                  {"timestamp", now()}});
}

Bytes simplon_image(const SimplonDialect& dialect, const writer::FileFacts& facts, const writer::Event& event,
                    const std::string& run, std::uint64_t number, std::span<const std::byte> pixels) {
  json map = {{"type", "image"},
              {dialect.old_names ? "run" : "run_id", run_value(run)},
              {"compressed_data", json::binary(packed_blocks(pixels, size_of(facts.pixel_type)))},
              {dialect.old_names ? "dtype" : "image_dtype", std::string(name(facts.pixel_type))},
              {"sum", sum_of(facts.pixel_type, pixels)},
              {"message_id", number},
              {"timestamp", event.timestamp},
              {"frame", describe(event.key)},
              {"event_id", std::to_string(event.event_id)}};
  // Senders of these dialects write 0 for what they do not know; a key that is absent says the same to their readers.
  if (event.has_photon_energy()) map["photon_energy"] = event.photon_energy_ev;
  add_for_simplon(map, facts.columns, event.columns);
  return message(dialect, 'm', map);
}

Bytes simplon_end(const SimplonDialect& dialect, const std::string& run) {
  return message(dialect, 'c',
                 {{"type", dialect.old_names ? "stop" : "end"},
                  {dialect.old_names ? "run" : "run_id", run_value(run)},
                  {"timestamp", now()}});
}

}  // namespace peaknet::live
