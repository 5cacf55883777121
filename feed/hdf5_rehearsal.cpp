#include "feed/hdf5_rehearsal.hpp"

#include <malloc.h>

#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/log_line.hpp"
#include "feed/decoders/packed_values.hpp"
#include "feed/hdf5_open.hpp"
#include "feed/hdf5_source.hpp"

namespace peaknet::feed {
namespace {

constexpr std::uint64_t kMostMemory = std::uint64_t{8} << 30;

Status look_through(const std::string& path, const shm::Geometry& frames, const std::string& dataset, bool skip_bad,
                    const config::FeedColumns& columns) {
  log::set_level("off");  // the reading itself will say it
  // What the library writes behind its memory shows where that is given back.
  H5set_free_list_limits(0, 0, 0, 0, 0, 0);
  {
    Hdf5Reading reading;
    reading.skip_bad = skip_bad;
    reading.columns = columns;
    auto source = Hdf5Source::open(path, dataset, frames, Narrowing::refuse, reading);
    if (!source) return source.error();
    (*source)->look_through();
  }
  malloc_trim(0);
  return {};
}

Sandbox::Work work_of(Hdf5Rehearsal::Look look) {
  return [look = std::move(look)](const Sandbox::ReadAt&, std::uint64_t, std::span<const std::byte> request) {
    shm::Geometry frames;
    ValueReader in(request);
    const auto geometry = in.take_bytes();
    if (geometry.size() == sizeof frames) std::memcpy(&frames, geometry.data(), sizeof frames);
    const Status seen = look(in.take_text(), frames);
    PackedValues out;
    out.put(seen.ok() ? 1 : 0);
    if (!seen) put_error(out, seen.error());
    return Sandbox::Done{std::move(out).bytes(), !seen.ok()};  // what the library stumbled over may have damaged it
  };
}

}  // namespace

Hdf5Rehearsal::Hdf5Rehearsal(const std::string& dataset, bool skip_bad, const config::FeedColumns& columns,
                             std::chrono::milliseconds time)
    : Hdf5Rehearsal(
          [dataset, skip_bad, columns](const std::string& path, const shm::Geometry& frames) {
            return look_through(path, frames, dataset, skip_bad, columns);
          },
          time) {}

Hdf5Rehearsal::Hdf5Rehearsal(Look look, std::chrono::milliseconds time)
    : sandbox_(work_of(std::move(look)), Sandbox::Limits{.time = time, .memory = kMostMemory}) {}

Status Hdf5Rehearsal::look(const std::string& path, const shm::Geometry& frames) {
  PackedValues request;
  request.put_bytes(std::as_bytes(std::span(&frames, 1)));
  request.put_text(path);
  const auto answer = sandbox_.ask({}, std::move(request).bytes());
  if (answer.outcome == Sandbox::Outcome::failed) {
    return Error{"hdf5.no-helper", "there is no process for the HDF5 library: none can be made here",
                 path + " was not opened", "look at the limits on processes and memory (ulimit -u, control group)"};
  }
  if (answer.outcome != Sandbox::Outcome::answered) {
    return unreadable(path,
                      std::string("it makes the HDF5 library ") +
                          (answer.outcome == Sandbox::Outcome::crashed ? "crash" : "run without end") +
                          " (that was in a process of its own)",
                      "the file is damaged; --skip-bad plays the others");
  }
  ValueReader in(answer.reply);
  if (in.take() == 1) return {};
  Error error = take_error(in);
  if (in.good() && !error.id.empty()) return error;
  return unreadable(path, "the HDF5 library damaged the process that looked at it",
                    "the file is damaged; --skip-bad plays the others");
}

}  // namespace peaknet::feed
