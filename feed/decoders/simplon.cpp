#include "feed/decoders/simplon.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "feed/decoders/batch.hpp"
#include "feed/decoders/bitshuffle.hpp"
#include "feed/decoders/cbor.hpp"
#include "feed/event_facts.hpp"
#include "feed/frame_shape.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kBlockSamples = 4096;
constexpr std::string_view kAlgorithm = "bitshuffle-lz4";

// The first of `names` that is there: the two dialects call the same things differently.
const CborValue* find(const CborMap& map, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const auto found = map.find(name); found != map.end()) return &found->second;
  }
  return nullptr;
}
template <class Type>
const Type* find_as(const CborMap& map, std::initializer_list<std::string_view> names) {
  const CborValue* value = find(map, names);
  return value == nullptr ? nullptr : std::get_if<Type>(value);
}

std::string run_name(const CborMap& map) {
  const CborValue* run = find(map, {"run_number", "run_id", "run"});
  if (run == nullptr) return {};
  if (const auto* number = std::get_if<std::uint64_t>(run)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string_view>(run)) return std::string(text->substr(0, 31));
  return {};
}

std::uint64_t timestamp(const CborMap& map) {
  if (const auto* packed = find_as<std::uint64_t>(map, {"timestamp"})) return timestamp_from_packed(*packed);
  if (const auto* seconds = find_as<double>(map, {"timestamp"})) return timestamp_from_number(*seconds);
  if (const auto* text = find_as<std::string_view>(map, {"timestamp"})) return timestamp_from_text(*text);
  return 0;
}

// Senders write 0, as an integer, for what they do not know.
double number(const CborMap& map, std::string_view name) {
  if (const auto* real = find_as<double>(map, {name})) return *real;
  if (const auto* integer = find_as<std::uint64_t>(map, {name})) return static_cast<double>(*integer);
  return 0.0;
}

// lclstreamer's main branch and v0.8.0 (the dialect with `dtype`) write the energy of the electron beam in MeV as
// photon_energy.
bool energy_of_electrons(const CborMap& map) { return find(map, {"image_dtype"}) == nullptr; }

double photon_energy(const CborMap& map, const DecodeOptions& options) {
  const config::WavelengthUnit unit = options.wavelength_unit;
  const bool electrons = energy_of_electrons(map) && !options.simplon_energy;
  const double said = electrons ? kUnknownEnergy : energy_from_ev(number(map, "photon_energy"));
  return std::isnan(said) ? energy_from_wavelength(number(map, "photon_wavelength"), unit) : said;
}

std::optional<SampleType> type_named(std::string_view text) {
  for (std::size_t i = 0; i < kSampleTypes; ++i) {
    if (name(static_cast<SampleType>(i)) == text) return static_cast<SampleType>(i);
  }
  return std::nullopt;
}

// "2x185x388"
std::optional<std::vector<std::uint64_t>> parse_shape(std::string_view text) {
  std::vector<std::uint64_t> dims;
  while (dims.size() < 4) {
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{}) return std::nullopt;
    dims.push_back(n);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) return dims;
    if (text.front() != 'x') return std::nullopt;
    text.remove_prefix(1);
  }
  return std::nullopt;
}

Status check_start(const CborMap& map, const shm::Geometry& geometry) {
  if (const auto* algorithm = find_as<std::string_view>(map, {"algorithm"}); algorithm && *algorithm != kAlgorithm) {
    return Error{"simplon.unsupported",
                 "a Simplon run packs its images with '" + std::string(algorithm->substr(0, 64)) + "'",
                 "its images will be refused", "let the sender pack with " + std::string(kAlgorithm)};
  }
  const auto* text = find_as<std::string_view>(map, {"shape"});
  if (text == nullptr) return {};
  const auto dims = parse_shape(*text);
  if (!dims) return bad_field("shape", "is '" + std::string(text->substr(0, 64)) + "', which is no shape");
  if (frames_in(*dims, geometry) != 1U) return shape_error("a Simplon run", *dims, geometry);
  return {};
}

Error missing(const std::string& field) {
  return {"message.missing-field", "a Simplon image has no field " + field + " of the right kind",
          "the message was not used; the next one is served", "is this sender's Simplon dialect a new one?"};
}

// Of numbers alone: what has items of its own is not read. Byte strings are the numbers of a column as they are.
EventColumns columns_of(const CborMap& map, const DecodeOptions& options) {
  EventColumns columns(options.columns);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto found = map.find(columns.from(i));
    if (found == map.end()) {
      std::vector<std::string> names;
      for (const auto& [name, value] : map) names.emplace_back(name);
      columns.absent_among(i, names);
      continue;
    }
    const auto one = [&](SampleType type, auto number) {
      Column column{type, std::vector<std::byte>(sizeof number)};
      std::memcpy(column.bytes.data(), &number, sizeof number);
      columns.found(i, std::move(column));
    };
    if (const auto* unsigned_number = std::get_if<std::uint64_t>(&found->second)) {
      one(SampleType::u64, *unsigned_number);
    } else if (const auto* negative = std::get_if<std::int64_t>(&found->second)) {
      one(SampleType::i64, *negative);
    } else if (const auto* real = std::get_if<double>(&found->second)) {
      one(SampleType::f64, *real);
    } else if (const auto* bytes = std::get_if<std::span<const std::byte>>(&found->second)) {
      const auto type = type_named(shm::name(options.columns.table[i].type));
      if (type && bytes->size() == options.columns.table[i].bytes()) {
        columns.found(i, Column{*type, {bytes->begin(), bytes->end()}});
      } else {
        columns.absent(i, "has " + std::to_string(bytes->size()) + " bytes, the column has " +
                              std::to_string(options.columns.table[i].bytes()));
      }
    } else {
      columns.absent(i, "is no number");
    }
  }
  return columns;
}

}  // namespace

Result<std::unique_ptr<FrameSource>> SimplonDecoder::open(std::span<const std::byte> message,
                                                          const shm::Geometry& geometry,
                                                          const DecodeBuffer& /*decode_buffer*/) {
  news_ = {};
  sequence_.reset();
  if (message[0] == std::byte{'c'} || message[0] == std::byte{'m'}) message = message.subspan(1);
  auto map = read_cbor_map(message);
  if (!map) return map.error();
  const auto* type = find_as<std::string_view>(*map, {"type"});
  if (type == nullptr) return bad_field("type", "is no text");
  const bool start = *type == "start";
  if (start || *type == "stop" || *type == "end") {
    if (start) {
      if (auto good = check_start(*map, geometry); !good) return good.error();
    }
    news_ = {start ? RunBoundary::Kind::start : RunBoundary::Kind::end, run_name(*map)};
    return std::unique_ptr<FrameSource>(
        std::make_unique<BatchSource>(geometry, BatchLayout{}, SampleType::u8, EventBytes{}, BatchFacts{}, false));
  }
  if (*type != "image") {
    return Error{"simplon.unsupported",
                 "a Simplon message is of the unknown type '" + std::string(type->substr(0, 64)) + "'",
                 "it was not used; the next message is served", "is this sender's Simplon dialect a new one?"};
  }

  if (const auto* number = find_as<std::uint64_t>(*map, {"message_id"})) sequence_ = Sequence{run_name(*map), *number};
  const auto* packed = find_as<std::span<const std::byte>>(*map, {"compressed_data"});
  if (packed == nullptr) return missing("compressed_data");
  const auto* type_text = find_as<std::string_view>(*map, {"dtype", "image_dtype"});
  if (type_text == nullptr) return missing("dtype or image_dtype");
  const auto sample = type_named(*type_text);
  if (!sample) return bad_field("dtype", "is '" + std::string(type_text->substr(0, 64)) + "', which is no number type");
  const std::uint64_t dims[] = {1, geometry.panels, geometry.height, geometry.width};
  const auto plan = plan_batch(dims, *sample, {}, {}, geometry, options_);
  if (!plan) return plan.error();

  EventBytes bytes = [this, data = *packed, sample = *sample,
                      pixels = plan->event_pixels()](std::uint64_t) -> Result<std::span<const std::byte>> {
    const auto out = unpacked_.get(pixels * size_of(sample));
    if (unpack_bitshuffle(data, BlockCodec::lz4, size_of(sample), kBlockSamples, out, block_)) return {out};
    return Error{"simplon.damaged",
                 "a Simplon image of " + std::to_string(data.size()) + " packed bytes cannot be unpacked to the " +
                     std::to_string(pixels) + " " + std::string(name(sample)) + " numbers that the pool's frames have",
                 "it was not used; the next message is served",
                 "is pool.shape the detector's? If so, look at the sender and the network between"};
  };
  BatchFacts facts{{timestamp(*map)}, {photon_energy(*map, options_)}, run_name(*map), columns_of(*map, options_)};
  return std::unique_ptr<FrameSource>(
      std::make_unique<BatchSource>(geometry, *plan, *sample, std::move(bytes), std::move(facts), options_.normalised));
}

}  // namespace peaknet::feed
