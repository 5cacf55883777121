#include "feed/decoders/hdf5_layout.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "feed/decoders/batch.hpp"
#include "feed/decoders/hdf5_message.hpp"
#include "feed/decoders/packed_values.hpp"
#include "feed/frame_shape.hpp"
#include "feed/hdf5_open.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kMostCandidates = 16;
constexpr std::uint64_t kBigEndian = 256;                     // beside a number type, on its way from the sandbox
constexpr std::size_t kLargestColumn = std::size_t{1} << 20;  // bytes of one chunk of it
constexpr std::size_t kLongestText = 64;
constexpr std::size_t kMostFieldNames = 1000;
constexpr std::size_t kVariableText = 32;                      // of a time or a number as text, what is more is cut
constexpr std::size_t kLargestValues = std::size_t{64} << 10;  // what the rows take as compact data

Error damaged(const std::string& what) {
  return {"hdf5.damaged", "an HDF5 message cannot be read: " + what, "it was not used; the next message is served",
          "look at the sender and the network between"};
}

Error missing(const std::string& what, const std::string& remedy) {
  return {"message.missing-field", what, "the message was not used; the next one is served", remedy};
}

// What stands where the images must be and cannot be read is not as if it were not there.
Result<std::optional<Hdf5Found>> images_at(hid_t file, const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    auto array = look_up(file, "an HDF5 message", place, ExternalLinks::refuse);
    if (!array) {
      return Error{"message.bad-field", array.error().what, "the message was not used; the next one is served",
                   "let the sender write the images themselves into the message"};
    }
    if (!*array) continue;
    if ((*array)->type) return std::optional(Hdf5Found{place, std::move(**array)});
    return bad_field(place, "holds no plain numbers");
  }
  return std::optional<Hdf5Found>{};
}

Result<Hdf5Found> find_images(hid_t file, const DecodeOptions& options) {
  auto places = raw_places(options);
  for (std::string& place : image_places(options)) places.push_back(std::move(place));
  auto named = images_at(file, places);
  if (!named) return named.error();
  if (*named) return std::move(**named);
  auto candidates = image_like(file, kMostCandidates, ExternalLinks::refuse);
  const auto possible = [&](const ImageLike& found) {
    const auto& columns = options.columns.from;  // a spectrum of many events looks like an image
    const bool column = std::any_of(columns.begin(), columns.end(), [&](const std::string& from) {
      const auto of_column = column_places(from);
      return std::any_of(of_column.begin(), of_column.end(),
                         [&](const std::string& place) { return without_slash(place) == without_slash(found.path); });
    });
    return !column && !named_as_no_image(found.path);
  };
  const auto only = std::find_if(candidates.begin(), candidates.end(), possible);
  if (std::count_if(candidates.begin(), candidates.end(), possible) == 1 && only->array && only->array->type)
    return Hdf5Found{only->path, std::move(*only->array)};
  std::string names;
  for (const ImageLike& found : candidates) names += (names.empty() ? "" : ", ") + found.path;
  return missing("an HDF5 message has no dataset " + options.image +
                     " or /data/data; image-like are: " + (names.empty() ? "none" : names),
                 "name the sender's image field with --image-field");
}

Result<Hdf5Table> table_of(const Hdf5Found& found, std::uint64_t message_bytes, std::size_t largest) {
  auto rows = Hdf5Rows::locate(message_bytes, found.array, found.path, largest);
  if (!rows) return rows.error();
  return Hdf5Table{found.path,
                   found.array.dims,
                   found.array.type.value_or(SampleType::u8),
                   {.width = found.array.type ? 0 : found.array.text_bytes, .wide = false},
                   std::move(*rows),
                   !found.array.little_endian};
}

// A few values that do not lie in the message as they are needed: scalars, big-endian numbers, texts of any length.
std::optional<Hdf5Table> read_values(const Hdf5Found& found, std::uint64_t count) {
  const hid_t dataset = found.array.dataset.get();
  const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
  Hdf5Table table{found.path, {count}, found.array.type.value_or(SampleType::u8), {}, {}};
  std::vector<std::byte> bytes;
  if (found.array.type) {
    const Hdf5Handle native(H5Tget_native_type(type.get(), H5T_DIR_ASCEND), H5Tclose);
    bytes.resize(count * size_of(*found.array.type));
    if (H5Dread(dataset, native.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0) return std::nullopt;
  } else if (H5Tis_variable_str(type.get()) > 0) {
    std::vector<char*> texts(count, nullptr);
    if (H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, texts.data()) < 0) return std::nullopt;
    table.text.width = kVariableText;
    bytes.resize(count * kVariableText);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (texts[i] == nullptr) continue;
      const std::string_view text(texts[i]);
      std::memcpy(bytes.data() + i * kVariableText, text.data(), std::min(text.size(), kVariableText));
      H5free_memory(texts[i]);
    }
  } else {
    table.text.width = found.array.text_bytes;
    bytes.resize(count * found.array.text_bytes);
    if (H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0) return std::nullopt;
  }
  if (bytes.empty() || bytes.size() > kLargestValues) return std::nullopt;
  table.rows = Hdf5Rows::of_values(std::move(bytes), count);
  return table;
}

// The first of `places` that is there: a field with one value per event, or one for all. nullopt: there is none, or
// nobody knows to which events its values belong.
Result<std::optional<Hdf5Table>> column_of(hid_t file, const std::vector<std::string>& places, std::uint64_t events,
                                           std::uint64_t message_bytes) {
  for (const std::string& place : places) {
    auto array = open_array(file, place, ExternalLinks::refuse);
    if (!array) continue;
    const Hdf5Found found{place, std::move(*array)};
    const std::uint64_t count = found.array.elements();
    if (count > 1 && count != events && events > 0 && (count % events == 0 || events % count == 0)) {
      return bad_field(found.path,
                       "has the shape " + shape_text(found.array.dims) + " for " + std::to_string(events) + " events");
    }
    if (count == 0 || (count != 1 && count != events)) return std::optional<Hdf5Table>{};
    const bool as_it_lies = !found.array.dims.empty() && found.array.dims.front() == events &&
                            found.array.little_endian && (found.array.type || found.array.text_bytes > 0);
    if (!as_it_lies) return read_values(found, count);
    auto table = table_of(found, message_bytes, kLargestColumn);
    if (!table && table.error().id != "hdf5.damaged") return std::optional<Hdf5Table>{};
    if (!table) return table.error();
    return std::optional(std::move(*table));
  }
  return std::optional<Hdf5Table>{};
}

// A field for one of the pool's columns: one row an event, or one value for all.
Hdf5Layout::Field field_of(hid_t file, const std::string& from, std::uint64_t events, std::uint64_t message_bytes) {
  for (const std::string& place : column_places(from)) {
    auto array = open_array(file, place, ExternalLinks::refuse);
    if (!array) continue;
    const Hdf5Found found{place, std::move(*array)};
    if (!found.array.type) return {{}, "holds no numbers of a known type"};
    const auto& dims = found.array.dims;
    if (dims.empty() || (dims.size() == 1 && dims.front() == 1 && events != 1)) {
      auto one = read_values(found, 1);
      if (one) one->big_endian = false;
      return one ? Hdf5Layout::Field{std::move(one)} : Hdf5Layout::Field{{}, "cannot be read"};
    }
    if (dims.front() != events)
      return {{}, "has the shape " + shape_text(dims) + " for " + std::to_string(events) + " events"};
    auto table = table_of(found, message_bytes, kLargestColumn);
    if (!table) return {{}, "cannot be read: " + table.error().what};
    return {std::move(*table)};
  }
  const auto slash = from.rfind('/');
  const std::string group = slash == std::string::npos ? "/" : from.substr(0, slash + 1);
  const std::string near = nearest(slash == std::string::npos ? from : from.substr(slash + 1),
                                   names_in(file, group, kMostFieldNames, ExternalLinks::refuse));
  return {{}, "is no dataset of the message" + (near.empty() ? "" : " (did you mean '" + near + "'?)")};
}

void put(PackedValues& out, const Hdf5Table& table) {
  out.put_text(table.path);
  out.put(table.dims.size());
  for (const std::uint64_t n : table.dims) out.put(n);
  out.put(static_cast<std::uint64_t>(table.type) | (table.big_endian ? kBigEndian : 0));
  out.put(table.text.width);
  table.rows.save(out);
}

// nullopt: not what `put` has written, or not possible.
std::optional<Hdf5Table> take_table(ValueReader& in, std::span<const std::byte> message, std::size_t largest) {
  constexpr std::uint64_t kMostDimensions = 32;
  Hdf5Table table;
  table.path = in.take_text();
  table.dims.resize(std::min(in.take(), kMostDimensions));
  for (std::uint64_t& n : table.dims) n = in.take();
  std::uint64_t type = in.take();
  table.big_endian = (type & kBigEndian) != 0;
  type &= ~kBigEndian;
  table.text.width = std::min<std::uint64_t>(in.take(), kLongestText);
  if (!in.good() || type >= kSampleTypes || table.dims.empty()) return std::nullopt;
  table.type = static_cast<SampleType>(type);
  auto rows = Hdf5Rows::load(in, message, table.dims, table.type,
                             table.text.width > 0 ? table.text.width : size_of(table.type), table.path, largest);
  if (!rows) return std::nullopt;
  table.rows = std::move(*rows);
  return table;
}

}  // namespace

Result<Hdf5Layout> survey_hdf5(const Sandbox::ReadAt& message, std::uint64_t message_bytes,
                               const shm::Geometry& geometry, const DecodeOptions& options) {
  const Hdf5Handle file = open_hdf5_message(message, message_bytes);
  if (!file) return damaged(hdf5_complaint());
  const auto images = find_images(file.get(), options);
  if (!images) return images.error();
  // Here already: what a message claims is not gone through row by row before the pool's shape agrees.
  const auto plan = plan_batch(images->array.dims, *images->array.type, {}, {}, geometry, options);
  if (!plan) return plan.error();
  auto table = table_of(*images, message_bytes, options.limits.unpacked_bytes);
  if (!table) return table.error();
  auto times = column_of(file.get(), timestamp_places(options), plan->events, message_bytes);
  if (!times) return times.error();
  auto wavelengths = column_of(file.get(), wavelength_places(options), plan->events, message_bytes);
  if (!wavelengths) return wavelengths.error();
  Hdf5Layout survey{std::move(*table), std::move(*times), std::move(*wavelengths)};
  for (const std::string& from : options.columns.from)
    survey.columns.push_back(field_of(file.get(), from, plan->events, message_bytes));
  return survey;
}

std::vector<std::byte> save(const Result<Hdf5Layout>& survey) {
  PackedValues out;
  out.put(survey.ok() ? 1 : 0);
  if (!survey) {
    put_error(out, survey.error());
    return std::move(out).bytes();
  }
  put(out, survey->images);
  for (const auto* column : {&survey->times, &survey->wavelengths}) {
    out.put(column->has_value() ? 1 : 0);
    if (*column) put(out, **column);
  }
  for (const Hdf5Layout::Field& field : survey->columns) {
    out.put(field.table ? 1 : 0);
    if (field.table) {
      put(out, *field.table);
    } else {
      out.put_text(field.why_not);
    }
  }
  return std::move(out).bytes();
}

Result<Hdf5Layout> load_survey(std::span<const std::byte> saved, std::span<const std::byte> message,
                               const DecodeOptions& options) {
  ValueReader in(saved);
  const auto unclear = [] { return damaged("what its sandbox found does not fit the message"); };
  if (in.take() == 0) {
    Error error = take_error(in);
    return in.good() && !error.id.empty() ? error : unclear();
  }
  auto images = take_table(in, message, options.limits.unpacked_bytes);
  if (!images || images->text.width > 0) return unclear();
  Hdf5Layout survey{std::move(*images), {}, {}};
  for (auto* column : {&survey.times, &survey.wavelengths}) {
    if (in.take() == 0) continue;
    *column = take_table(in, message, kLargestColumn);
    if (!*column) return unclear();
  }
  for (std::size_t i = 0; i < options.columns.table.size(); ++i) {
    Hdf5Layout::Field& field = survey.columns.emplace_back();
    if (in.take() == 0) {
      field.why_not = in.take_text();
      continue;
    }
    field.table = take_table(in, message, kLargestColumn);
    if (!field.table) return unclear();
  }
  if (!in.good()) return unclear();
  return survey;
}

}  // namespace peaknet::feed
