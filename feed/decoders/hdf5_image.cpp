#include "feed/decoders/hdf5_image.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "feed/decoders/batch.hpp"
#include "feed/decoders/numpy_type.hpp"
#include "feed/decoders/sandbox.hpp"

namespace peaknet::feed {
namespace {

constexpr std::chrono::seconds kLongestSurvey{10};
// A survey holds no pixels: what describes a message is a small part of the largest one. To this comes what the sandbox
// itself keeps: parts of the message, and the answer. The library asks for what a message claims: 4 GB where it is
// damaged.
std::uint64_t memory_of_survey(const DecodeLimits& limits) {
  return limits.message_bytes / 4 + 4 * std::uint64_t{Sandbox::kLongestReply};
}

// All numbers of a small table, without the library: one for each event, before memory is taken for them.
Result<Column> read_column(Hdf5Table& table, std::uint64_t events) {
  const std::uint64_t values = table.dims.front();
  if (values != events && values != 1) {
    return bad_field(table.path,
                     "has " + std::to_string(table.dims.front()) + " rows for " + std::to_string(events) + " events");
  }
  const std::size_t bytes = table.text.width > 0 ? table.text.width : size_of(table.type);
  Column column{table.type, std::vector<std::byte>(values * bytes), table.text};
  Hdf5Rows::Memory memory;
  for (std::uint64_t i = 0; i < values; ++i) {
    const auto row = table.rows.row(i, memory);
    if (!row) return row.error();
    if (row->size() != bytes) return bad_field(table.path, "has more than a number for an event");
    std::memcpy(column.bytes.data() + i * bytes, row->data(), bytes);
  }
  return column;
}

// A column that cannot be read is not known; the message is taken.
EventColumns columns_of(std::vector<Hdf5Layout::Field>& fields, const DecodeOptions& options, std::uint64_t events) {
  EventColumns columns(options.columns);
  Hdf5Rows::Memory memory;
  for (std::size_t i = 0; i < columns.size() && i < fields.size(); ++i) {
    if (!fields[i].table) {
      columns.absent(i, fields[i].why_not);
      continue;
    }
    Hdf5Table& table = *fields[i].table;
    const std::uint64_t rows = table.dims.front();
    const std::size_t most = options.columns.table[i].values() * size_of(table.type);
    Column column{table.type, {}};
    Status read;
    for (std::uint64_t row = 0; row < rows && rows <= options.limits.events && read; ++row) {
      const auto bytes = table.rows.row(row, memory);
      if (bytes && bytes->size() <= most) {
        column.bytes.insert(column.bytes.end(), bytes->begin(), bytes->end());
      } else {
        read = bytes ? bad_field(table.path, "has " + std::to_string(bytes->size() / size_of(table.type)) +
                                                 " values for an event, the column has " +
                                                 std::to_string(options.columns.table[i].values()))
                     : bytes.error();
      }
    }
    if (read && table.big_endian && size_of(table.type) > 1) {
      Column home{table.type, std::vector<std::byte>(column.bytes.size())};
      bring_home(column.bytes, NumpyType{table.type, size_of(table.type), true}, home.bytes);
      column = std::move(home);
    }
    if (read) {
      columns.found(i, std::move(column), table.dims, events);
    } else {
      columns.absent(i, "cannot be read: " + read.error().what);
    }
  }
  return columns;
}

Hdf5ImageDecoder::Surveyor survey_by_helper(const DecodeOptions& options) {
  const auto sandbox = std::make_shared<Sandbox>(
      [options](const Sandbox::ReadAt& message, std::uint64_t bytes, std::span<const std::byte> request) {
        shm::Geometry geometry;
        if (request.size() == sizeof geometry) std::memcpy(&geometry, request.data(), sizeof geometry);
        const auto found = survey_hdf5(message, bytes, geometry, options);
        return Sandbox::Done{save(found), !found.ok()};  // what the library stumbled over may have damaged it
      },
      Sandbox::Limits{.time = kLongestSurvey, .memory = memory_of_survey(options.limits)},
      [] { return std::make_shared<Hdf5Guard>(); });
  return [options, sandbox](std::span<const std::byte> message, const shm::Geometry& geometry) -> Result<Hdf5Layout> {
    const auto answer = sandbox->ask(message, std::as_bytes(std::span(&geometry, 1)));
    switch (answer.outcome) {
      case Sandbox::Outcome::answered:
        return load_survey(answer.reply, message, options);
      case Sandbox::Outcome::crashed:
      case Sandbox::Outcome::hung:
        return Error{"hdf5.damaged",
                     "an HDF5 message makes the HDF5 library " +
                         std::string(answer.outcome == Sandbox::Outcome::crashed ? "crash" : "run without end"),
                     "that was in a process of its own: nothing else was touched, and the next message is served",
                     "look at the sender and the network between"};
      case Sandbox::Outcome::failed:
        break;
    }
    return Error{"hdf5.no-helper", "there is no process for the HDF5 library: none can be made here",
                 "the message was not used", "look at the limits on processes and memory of this service"};
  };
}

}  // namespace

Hdf5ImageDecoder::Hdf5ImageDecoder(const DecodeOptions& options)
    : Hdf5ImageDecoder(options, survey_by_helper(options)) {}
Hdf5ImageDecoder::Hdf5ImageDecoder(DecodeOptions options, Surveyor surveyor)
    : options_(std::move(options)), survey_(std::move(surveyor)) {}

Result<std::unique_ptr<FrameSource>> Hdf5ImageDecoder::open(std::span<const std::byte> message,
                                                            const shm::Geometry& geometry,
                                                            const DecodeBuffer& /*decode_buffer*/) {
  auto found = survey_(message, geometry);
  if (!found) return found.error();
  Hdf5Table& images = found->images;
  const auto plan = plan_batch(images.dims, images.type, {}, {}, geometry, options_);
  if (!plan) return plan.error();
  BatchFacts facts;
  for (auto* table : {&found->times, &found->wavelengths}) {
    if (!*table) continue;
    const auto column = read_column(**table, plan->events);
    if (!column) return column.error();
    if (table == &found->times) {
      facts.timestamps = for_each_event(column->timestamps(), plan->events);
    } else {
      facts.energies = for_each_event(column->energies(options_.wavelength_unit), plan->events);
    }
  }

  facts.columns = columns_of(found->columns, options_, plan->events);

  // Merged panels: an event is several rows. They lie together only where a piece holds them all, so they are gathered.
  const std::uint64_t rows_per_event = images.dims.front() / std::max<std::uint64_t>(1, plan->events);
  const auto located = std::make_shared<Hdf5Rows>(std::move(images.rows));
  EventBytes bytes = [this, located](std::uint64_t event) { return located->row(event, memory_); };
  if (rows_per_event > 1) {
    const std::size_t row_bytes = plan->height * plan->width * size_of(images.type);
    bytes = [this, located, rows_per_event, row_bytes](std::uint64_t event) -> Result<std::span<const std::byte>> {
      const auto gathered = gathered_.get(rows_per_event * row_bytes);
      for (std::uint64_t i = 0; i < rows_per_event; ++i) {
        const auto row = located->row(event * rows_per_event + i, memory_);
        if (!row) return row.error();
        std::memcpy(gathered.data() + i * row_bytes, row->data(), row_bytes);
      }
      return std::span<const std::byte>(gathered);
    };
  }
  if (images.big_endian && size_of(images.type) > 1) {
    const NumpyType element{images.type, size_of(images.type), true};
    bytes = [this, stored = std::move(bytes), element](std::uint64_t event) -> Result<std::span<const std::byte>> {
      const auto one = stored(event);
      if (!one) return one;
      const auto home = home_.get(one->size());
      bring_home(*one, element, home);
      return std::span<const std::byte>(home);
    };
  }
  const auto raws = raw_places(options_);
  const bool raw = std::find(raws.begin(), raws.end(), images.path) != raws.end();
  return std::unique_ptr<FrameSource>(std::make_unique<BatchSource>(geometry, *plan, images.type, std::move(bytes),
                                                                    std::move(facts), options_.normalised && !raw));
}

}  // namespace peaknet::feed
