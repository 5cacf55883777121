#include "feed/decoders/npz.hpp"

#include <algorithm>
#include <utility>

#include "feed/decoders/batch.hpp"
#include "feed/decoders/npy.hpp"
#include "feed/decoders/zip.hpp"

namespace peaknet::feed {
namespace {

const ZipMember* find(const std::vector<ZipMember>& members, const std::string& field) {
  const std::string wanted = field + ".npy";
  const auto found = std::find_if(members.begin(), members.end(), [&](const ZipMember& m) { return m.name == wanted; });
  return found == members.end() ? nullptr : &*found;
}

// nullopt: there is no such member.
Result<std::optional<Column>> read_column(const std::vector<ZipMember>& members, const std::string& field,
                                          std::uint64_t most, Texts texts = Texts::refuse) {
  const ZipMember* member = find(members, field);
  if (member == nullptr) return std::optional<Column>{};
  ZipReader reader(*member);
  auto header = read_npy_header(reader, field, texts);
  if (!header) return header.error();
  if (header->elements() > most) {
    return bad_field(field, "has " + std::to_string(header->elements()) + " values, at most " + std::to_string(most) +
                                " are allowed");
  }
  Column column{header->type, std::vector<std::byte>(header->bytes), header->text};
  if (auto good = reader.read(column.bytes); !good) return good.error();
  if (auto good = reader.finish(); !good) return good.error();
  return std::optional(std::move(column));
}

Result<std::vector<std::uint64_t>> original_shape(const std::vector<ZipMember>& members, const std::string& field) {
  const auto column = read_column(members, field, 8);
  if (!column) return column.error();
  std::vector<std::uint64_t> shape;
  if (!*column) return shape;
  for (const double n : (*column)->numbers()) {
    if (!(n >= 1.0 && n <= 4294967295.0)) return bad_field(field, "is no shape");
    shape.push_back(static_cast<std::uint64_t>(n));
  }
  return shape;
}

}  // namespace

Result<std::unique_ptr<FrameSource>> NpzDecoder::open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                                      const Landing& landing) {
  const auto members = zip_members(message);
  if (!members) return members.error();
  const ZipMember* images = find(*members, options_.raw);
  const bool raw = images != nullptr;
  const std::string& field = raw ? options_.raw : options_.image;
  if (!raw) images = find(*members, options_.image);
  if (images == nullptr) {
    std::string has;
    for (const auto& member : *members) has += (has.empty() ? "" : ", ") + std::string(member.name.substr(0, 64));
    return Error{"message.missing-field",
                 "an npz message has no member '" + options_.image + ".npy'; it has: " + (has.empty() ? "none" : has),
                 "it was not used; the next message is served", "name the sender's image field with --image-field"};
  }
  const auto original = original_shape(*members, field + "_original_shape");
  if (!original) return original.error();
  const auto times = read_column(*members, options_.timestamp, options_.limits.events, Texts::allow);
  if (!times) return times.error();
  const auto wavelengths = read_column(*members, options_.wavelength, options_.limits.events);
  if (!wavelengths) return wavelengths.error();

  ZipReader reader(*images);
  const auto header = read_npy_header(reader, field);
  if (!header) return header.error();
  std::optional<std::uint64_t> known;
  if (*times) known = (*times)->size();
  const auto plan = plan_batch(header->dims, header->type, *original, known, geometry, options_);
  if (!plan) return plan.error();

  BatchFacts facts;
  if (*times) facts.timestamps = (*times)->timestamps();  // as many as the plan has events: it was told of them
  if (*wavelengths) {
    if (auto good = check_length(**wavelengths, options_.wavelength, plan->events); !good) return good.error();
    facts.energies = (*wavelengths)->energies(options_.wavelength_unit);
  }

  // Memory only now: the pool and the limits agree with the size.
  const std::size_t event_bytes = plan->event_pixels() * size_of(header->type);
  std::span<std::byte> whole;
  if (images->deflated) {
    const bool as_in_pool =
        header->type == sample_type_of(geometry.pixel_type) && event_bytes == geometry.image_bytes();
    if (as_in_pool && landing) whole = landing(images->unpacked - reader.left(), plan->events);
    if (whole.size() != images->unpacked) whole = scratch_.get(images->unpacked);
  }
  const auto rest = reader.rest(whole, inflater_);
  if (!rest) return rest.error();
  EventBytes bytes = [pixels = *rest, event_bytes](std::uint64_t event) -> Result<std::span<const std::byte>> {
    return pixels.subspan(event * event_bytes, event_bytes);
  };
  return std::unique_ptr<FrameSource>(std::make_unique<BatchSource>(geometry, *plan, header->type, std::move(bytes),
                                                                    std::move(facts), options_.normalised && !raw));
}

}  // namespace peaknet::feed
