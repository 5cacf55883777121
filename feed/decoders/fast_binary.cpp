#include "feed/decoders/fast_binary.hpp"

#include <blosc.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "feed/decoders/batch.hpp"
#include "feed/decoders/npy.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMostFields = 256, kLongestText = 256, kMostDimensions = 8;
enum : std::uint8_t { kStored = 0, kLz4 = 1, kZstd = 2 };

Error damaged(const std::string& what) {
  return {"fast_binary.damaged", "a FastBinary message is damaged: " + what,
          "it was not used; the next message is served", "look at the sender and the network between"};
}
Error unsupported(const std::string& what) {
  return {"fast_binary.unsupported", "a FastBinary message " + what, "it was not used; the next message is served",
          "let the sender write version 1 with little-endian numbers, packed with lz4, zstd or not at all"};
}

struct Field {
  std::string name, type;
  std::vector<std::uint64_t> dims;
  std::uint8_t packing = kStored;
  std::uint64_t raw_bytes = 0;
  std::span<const std::byte> stored;
};

// Never reads past the end: what it gives then is nothing.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> rest) : rest_(rest) {}
  template <class Number>
  std::optional<Number> number() {
    const auto bytes = take(sizeof(Number));
    if (!bytes) return std::nullopt;
    Number value;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
  }
  std::optional<std::span<const std::byte>> take(std::uint64_t bytes) {
    if (bytes > rest_.size()) return std::nullopt;
    const auto taken = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return taken;
  }
  std::optional<std::string> text() {
    const auto length = number<std::uint32_t>();
    if (!length || *length > kLongestText) return std::nullopt;
    const auto bytes = take(*length);
    if (!bytes) return std::nullopt;
    return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

std::optional<Field> read_field(Cursor& cursor) {
  Field field;
  auto name = cursor.text();
  auto type = cursor.text();
  const auto rank = cursor.number<std::uint32_t>();
  if (!name || !type || !rank || *rank > kMostDimensions) return std::nullopt;
  field.name = std::move(*name);
  field.type = std::move(*type);
  for (std::uint32_t i = 0; i < *rank; ++i) {
    const auto n = cursor.number<std::int64_t>();
    if (!n || *n < 0) return std::nullopt;
    field.dims.push_back(static_cast<std::uint64_t>(*n));
  }
  const auto packing = cursor.number<std::uint8_t>();
  const auto raw = cursor.number<std::uint64_t>();
  const auto stored = cursor.number<std::uint64_t>();
  if (!packing || !raw || !stored) return std::nullopt;
  const auto data = cursor.take(*stored);
  if (!data) return std::nullopt;
  field.packing = *packing;
  field.raw_bytes = *raw;
  field.stored = *data;
  return field;
}

Result<std::vector<Field>> read_fields(std::span<const std::byte> message) {
  Cursor cursor(message);
  cursor.number<std::uint32_t>();  // the magic
  const auto version = cursor.number<std::uint32_t>();
  const auto count = cursor.number<std::uint32_t>();
  if (!version || !count) return damaged("it ends in its head");
  if (*version != kVersion) return unsupported("has the version " + std::to_string(*version));
  if (*count > kMostFields) return damaged("it claims " + std::to_string(*count) + " fields");
  std::vector<Field> fields;
  for (std::uint32_t i = 0; i < *count; ++i) {
    auto field = read_field(cursor);
    if (!field) return damaged("field " + std::to_string(i) + " cannot be, or goes past the end");
    const auto same = [&](const Field& other) { return without_slash(other.name) == without_slash(field->name); };
    if (std::any_of(fields.begin(), fields.end(), same))
      return damaged("the field '" + field->name + "' is there twice");
    fields.push_back(std::move(*field));
  }
  if (!cursor.at_end()) return damaged("bytes follow its last field");
  return fields;
}

const Field* find(const std::vector<Field>& fields, const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const Field& f) { return without_slash(f.name) == without_slash(place); });
    if (found != fields.end()) return &*found;
  }
  return nullptr;
}

// The type of a field whose sizes agree with each other.
struct FieldType {
  NumpyType number;
  TextType text = {};
};
Result<FieldType> check_field(const Field& field, Texts texts = Texts::refuse) {
  const auto type = numpy_type(field.type);
  const TextType text = texts == Texts::allow ? numpy_text(field.type) : TextType{};
  if (!type && text.width == 0) return unsupported("has the field '" + field.name + "' of type '" + field.type + "'");
  std::uint64_t bytes = text.width > 0 ? text.width : type->bytes;
  for (const std::uint64_t n : field.dims) {
    if (__builtin_mul_overflow(bytes, n, &bytes))
      return damaged("the field '" + field.name + "' is larger than memory");
  }
  if (bytes != field.raw_bytes || (field.packing == kStored && field.stored.size() != bytes)) {
    return damaged("the sizes of the field '" + field.name + "' do not agree");
  }
  if (field.packing > kZstd) return unsupported("is packed in the unknown way " + std::to_string(field.packing));
  return FieldType{type.value_or(NumpyType{}), text};
}

// Into exactly `out`.
Status unpack(const Field& field, std::span<std::byte> out) {
  if (field.packing == kStored) {
    if (!out.empty()) std::memcpy(out.data(), field.stored.data(), out.size());
    return {};
  }
  std::size_t bytes = 0;
  const bool sound = blosc_cbuffer_validate(field.stored.data(), field.stored.size(), &bytes) == 0 &&
                     bytes == out.size() && bytes <= BLOSC_MAX_BUFFERSIZE;
  const int got = sound ? blosc_decompress_ctx(field.stored.data(), out.data(), out.size(), 1) : -1;
  if (got >= 0 && static_cast<std::size_t>(got) == out.size()) return {};
  return damaged("the field '" + field.name + "' cannot be unpacked");
}

// The only field that looks like images; nullptr: there is none, or several.
const Field* only_image(const std::vector<Field>& fields) {
  constexpr std::uint64_t kSide = 16;
  const Field* found = nullptr;
  for (const Field& field : fields) {
    const std::size_t rank = field.dims.size();
    if (rank < 3 || field.dims[rank - 1] < kSide || field.dims[rank - 2] < kSide || named_as_no_image(field.name))
      continue;
    if (found != nullptr) return nullptr;
    found = &field;
  }
  return found;
}

// nullopt: there is no such field, or one of a type that says nothing here.
Result<std::optional<Column>> read_column(const std::vector<Field>& fields, const std::vector<std::string>& places,
                                          std::uint64_t most, Texts texts = Texts::refuse) {
  const Field* field = find(fields, places);
  if (field == nullptr) return std::optional<Column>{};
  const auto type = check_field(*field, texts);
  if (!type && type.error().id == "fast_binary.unsupported") return std::optional<Column>{};
  if (!type) return type.error();
  const std::size_t values = field->raw_bytes / (type->text.width > 0 ? type->text.width : type->number.bytes);
  if (values > most) return bad_field(field->name, "has more than " + std::to_string(most) + " values");
  std::vector<std::byte> stored(field->raw_bytes);
  if (auto good = unpack(*field, stored); !good) return good.error();
  if (type->text.width > 0 || type->number.as_it_is())
    return std::optional(Column{type->number.type, std::move(stored), type->text});
  Column column{type->number.type, std::vector<std::byte>(values * size_of(type->number.type))};
  bring_home(stored, type->number, column.bytes);
  return std::optional(std::move(column));
}

// A column that cannot be read is not known; the message is taken.
EventColumns columns_of(const std::vector<Field>& fields, const DecodeOptions& options, std::uint64_t events) {
  EventColumns columns(options.columns);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto places = column_places(columns.from(i));
    const std::uint64_t most = std::max<std::uint64_t>(1, events) * options.columns.table[i].values();
    const Field* const field = find(fields, places);
    columns.take(i, read_column(fields, places, most), field == nullptr ? std::vector<std::uint64_t>{} : field->dims,
                 events, [&] {
                   std::vector<std::string> names;
                   for (const Field& each : fields) names.push_back(each.name);
                   return names;
                 });
  }
  return columns;
}

// What the message says of its events beside their images.
Result<BatchFacts> facts_of(const std::vector<Field>& fields, const DecodeOptions& options, std::uint64_t events) {
  BatchFacts facts;
  const auto times = read_column(fields, timestamp_places(options), options.limits.events, Texts::allow);
  if (!times) return times.error();
  if (*times) {
    if (auto good = check_length(**times, options.timestamp, events); !good) return good.error();
    facts.timestamps = for_each_event((*times)->timestamps(), events);
  }
  const auto wavelengths = read_column(fields, wavelength_places(options), options.limits.events, Texts::allow);
  if (!wavelengths) return wavelengths.error();
  if (*wavelengths) {
    if (auto good = check_length(**wavelengths, options.wavelength, events); !good) return good.error();
    facts.energies = for_each_event((*wavelengths)->energies(options.wavelength_unit), events);
  }
  facts.columns = columns_of(fields, options, events);
  return facts;
}

}  // namespace

Result<std::unique_ptr<FrameSource>> FastBinaryDecoder::open(std::span<const std::byte> message,
                                                             const shm::Geometry& geometry,
                                                             const DecodeBuffer& /*decode_buffer*/) {
  const auto fields = read_fields(message);
  if (!fields) return fields.error();
  const Field* images = find(*fields, raw_places(options_));
  const bool raw = images != nullptr;
  if (!raw) images = find(*fields, image_places(options_));
  if (images == nullptr) images = only_image(*fields);
  if (images == nullptr) {
    std::string has;
    for (const auto& field : *fields) has += (has.empty() ? "" : ", ") + field.name;
    return Error{"message.missing-field",
                 "a FastBinary message has no field '" + options_.image + "'; it has: " + (has.empty() ? "none" : has),
                 "it was not used; the next message is served", "name the sender's image field with --image-field"};
  }
  const auto images_type = check_field(*images);
  if (!images_type) return images_type.error();
  const SampleType type = images_type->number.type;
  const auto shape = read_column(*fields, {images->name + "_original_shape"}, 8);
  if (!shape) return shape.error();
  std::vector<std::uint64_t> original;
  if (*shape) {
    for (const double n : (*shape)->numbers()) {
      if (!(n >= 1.0 && n <= 4294967295.0)) return bad_field(images->name + "_original_shape", "is no shape");
      original.push_back(static_cast<std::uint64_t>(n));
    }
  }
  const auto plan = plan_batch(images->dims, type, original, {}, geometry, options_);
  if (!plan) return plan.error();

  auto facts = facts_of(*fields, options_, plan->events);
  if (!facts) return facts.error();

  // Memory only now: the pool and the limits agree with the size.
  std::span<const std::byte> pixels = images->stored;
  if (images->packing != kStored) {
    const auto out = unpacked_.get(images->raw_bytes);
    if (auto good = unpack(*images, out); !good) return good.error();
    pixels = out;
  }
  const std::size_t event_bytes = plan->event_pixels() * images_type->number.bytes;
  EventBytes bytes = [pixels, event_bytes](std::uint64_t event) -> Result<std::span<const std::byte>> {
    return pixels.subspan(event * event_bytes, event_bytes);
  };
  if (!images_type->number.as_it_is()) {
    bytes = [this, pixels, event_bytes, element = images_type->number,
             home_bytes =
                 plan->event_pixels() * size_of(type)](std::uint64_t event) -> Result<std::span<const std::byte>> {
      const auto home = home_.get(home_bytes);
      bring_home(pixels.subspan(event * event_bytes, event_bytes), element, home);
      return std::span<const std::byte>(home);
    };
  }
  return std::unique_ptr<FrameSource>(std::make_unique<BatchSource>(geometry, *plan, type, std::move(bytes),
                                                                    std::move(*facts), options_.normalised && !raw));
}

}  // namespace peaknet::feed
