#include "feed/decoders/npz.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "feed/decoders/batch.hpp"
#include "feed/decoders/npy.hpp"
#include "feed/decoders/zip.hpp"

namespace peaknet::feed {
namespace {

constexpr std::string_view kSuffix = ".npy";

// The first of the fields that is there, with or without a slash before it.
const ZipMember* find(const std::vector<ZipMember>& members, const std::vector<std::string>& fields) {
  for (const std::string& field : fields) {
    const std::string_view wanted = without_slash(field);
    for (const ZipMember& member : members) {
      const std::string_view name = without_slash(member.name);
      if (name.size() == wanted.size() + kSuffix.size() && name.starts_with(wanted) && name.ends_with(kSuffix))
        return &member;
    }
  }
  return nullptr;
}

// nullopt: there is no such member, or one of a type that says nothing here. `dims`: gets its shape, where it is asked.
Result<std::optional<Column>> read_column(const std::vector<ZipMember>& members, const std::vector<std::string>& fields,
                                          std::uint64_t most, Texts texts = Texts::refuse,
                                          std::vector<std::uint64_t>* dims = nullptr) {
  const ZipMember* member = find(members, fields);
  if (member == nullptr) return std::optional<Column>{};
  const std::string field(member->name);
  ZipReader reader(*member);
  auto header = read_npy_header(reader, field, texts);
  if (!header && header.error().id == "npz.unsupported") return std::optional<Column>{};
  if (!header) return header.error();
  if (header->elements() > most) {
    return bad_field(field, "has " + std::to_string(header->elements()) + " values, at most " + std::to_string(most) +
                                " are allowed");
  }
  if (dims != nullptr) *dims = header->dims;
  std::vector<std::byte> stored(header->bytes);
  if (auto good = reader.read(stored); !good) return good.error();
  if (auto good = reader.finish(); !good) return good.error();
  if (header->text.width > 0 || header->element.as_it_is())
    return std::optional(Column{header->type, std::move(stored), header->text});
  Column column{header->type, std::vector<std::byte>(header->elements() * size_of(header->type))};
  bring_home(stored, header->element, column.bytes);
  return std::optional(std::move(column));
}

// `count` elements from `first` on, in C order, of an array whose first index runs fastest.
void gather_fortran(std::span<const std::byte> stored, const NpyHeader& header, std::uint64_t first,
                    std::uint64_t count, std::span<std::byte> to) {
  const std::size_t size = header.element.bytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t at = 0, rest = first + i, stride = header.elements();
    for (std::size_t d = header.dims.size(); d-- > 0;) {
      stride /= header.dims[d];
      at += rest % header.dims[d] * stride;
      rest /= header.dims[d];
    }
    std::memcpy(to.data() + i * size, stored.data() + at * size, size);
  }
}

Result<std::vector<std::uint64_t>> original_shape(const std::vector<ZipMember>& members, const std::string& field) {
  const auto column = read_column(members, {field}, 8);
  if (!column) return column.error();
  std::vector<std::uint64_t> shape;
  if (!*column) return shape;
  for (const double n : (*column)->numbers()) {
    if (!(n >= 1.0 && n <= 4294967295.0)) return bad_field(field, "is no shape");
    shape.push_back(static_cast<std::uint64_t>(n));
  }
  return shape;
}

// A column that cannot be read is not known; the message is taken.
EventColumns columns_of(const std::vector<ZipMember>& members, const DecodeOptions& options, std::uint64_t events) {
  EventColumns columns(options.columns);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::vector<std::uint64_t> dims;
    const std::uint64_t most = std::max<std::uint64_t>(1, events) * options.columns.table[i].values();
    auto values = read_column(members, column_places(columns.from(i)), most, Texts::refuse, &dims);
    columns.take(i, std::move(values), dims, events, [&] {
      std::vector<std::string> names;
      for (const ZipMember& member : members)
        names.emplace_back(member.name.substr(0, member.name.size() - std::min(member.name.size(), kSuffix.size())));
      return names;
    });
  }
  return columns;
}

Status check_names(const std::vector<ZipMember>& members) {
  std::set<std::string_view> names;
  for (const ZipMember& member : members) {
    if (names.insert(without_slash(member.name)).second) continue;
    return bad_field(std::string(member.name), "is there twice, with a slash before its name and without");
  }
  return {};
}

}  // namespace

// Images that are stored in another way than C has its numbers: event by event into memory of the decoder.
EventBytes NpzDecoder::brought_home(std::span<const std::byte> stored, const NpyHeader& header,
                                    const BatchLayout& plan) {
  return
      [this, stored, header, pixels = plan.event_pixels()](std::uint64_t event) -> Result<std::span<const std::byte>> {
        const std::size_t size = header.element.bytes;
        std::span<const std::byte> one = stored.subspan(header.fortran ? 0 : event * pixels * size, pixels * size);
        if (header.fortran) {
          const auto gathered = gathered_.get(pixels * size);
          gather_fortran(stored, header, event * pixels, pixels, gathered);
          one = gathered;
        }
        const auto home = home_.get(pixels * size_of(header.type));
        bring_home(one, header.element, home);
        return std::span<const std::byte>(home);
      };
}

Result<std::unique_ptr<FrameSource>> NpzDecoder::open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                                      const DecodeBuffer& decode_buffer) {
  const auto members = zip_members(message);
  if (!members) return members.error();
  const ZipMember* images = find(*members, raw_places(options_));
  if (auto good = check_names(*members); !good) return good.error();
  const bool raw = images != nullptr;
  if (!raw) images = find(*members, image_places(options_));
  if (images == nullptr) {
    std::string has;
    for (const auto& member : *members) has += (has.empty() ? "" : ", ") + std::string(member.name.substr(0, 64));
    return Error{"message.missing-field",
                 "an npz message has no member '" + options_.image + ".npy'; it has: " + (has.empty() ? "none" : has),
                 "it was not used; the next message is served", "name the sender's image field with --image-field"};
  }
  const std::string field(images->name.substr(0, images->name.size() - kSuffix.size()));
  const auto original = original_shape(*members, field + "_original_shape");
  if (!original) return original.error();
  const auto times = read_column(*members, timestamp_places(options_), options_.limits.events, Texts::allow);
  if (!times) return times.error();
  const auto wavelengths = read_column(*members, wavelength_places(options_), options_.limits.events, Texts::allow);
  if (!wavelengths) return wavelengths.error();

  ZipReader reader(*images);
  const auto header = read_npy_header(reader, field);
  if (!header) return header.error();
  std::optional<std::uint64_t> known;
  if (*times) known = (*times)->size();
  const auto plan = plan_batch(header->dims, header->type, *original, known, geometry, options_);
  if (!plan) return plan.error();

  BatchFacts facts;
  if (*times) facts.timestamps = for_each_event((*times)->timestamps(), plan->events);
  if (*wavelengths) {
    if (auto good = check_length(**wavelengths, options_.wavelength, plan->events); !good) return good.error();
    facts.energies = for_each_event((*wavelengths)->energies(options_.wavelength_unit), plan->events);
  }
  facts.columns = columns_of(*members, options_, plan->events);

  // Memory only now: the pool and the limits agree with the size.
  const std::size_t event_bytes = plan->event_pixels() * size_of(header->type);
  std::span<std::byte> whole;
  if (images->deflated) {
    const bool as_in_pool =
        header->plain() && header->type == sample_type_of(geometry.pixel_type) && event_bytes == geometry.image_bytes();
    if (as_in_pool && decode_buffer) whole = decode_buffer(images->unpacked - reader.left(), plan->events);
    if (whole.size() != images->unpacked) whole = scratch_.get(images->unpacked);
  }
  const auto rest = reader.rest(whole, inflater_);
  if (!rest) return rest.error();
  EventBytes bytes = [pixels = *rest, event_bytes](std::uint64_t event) -> Result<std::span<const std::byte>> {
    return pixels.subspan(event * event_bytes, event_bytes);
  };
  if (!header->plain()) bytes = brought_home(*rest, *header, *plan);
  return std::unique_ptr<FrameSource>(std::make_unique<BatchSource>(geometry, *plan, header->type, std::move(bytes),
                                                                    std::move(facts), options_.normalised && !raw));
}

}  // namespace peaknet::feed
