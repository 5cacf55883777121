#include "feed/replay_inputs.hpp"

#include <algorithm>
#include <utility>

#include "base/special_file.hpp"
#include "feed/bad_pixels.hpp"
#include "feed/replay_source.hpp"

namespace peaknet::feed {
namespace {

template <class Source>
Result<std::unique_ptr<FrameSource>> as_frames(Result<std::unique_ptr<Source>> source) {
  if (!source) return source.error();
  return std::unique_ptr<FrameSource>(std::move(*source));
}

}  // namespace

ReplayInputs::ReplayInputs(ReplayReading reading, const shm::Geometry& geometry, std::unique_ptr<Decoder> decoder,
                           FeedCounters& tally, Refusals& refusals)
    : reading_(std::move(reading)),
      geometry_(geometry),
      reader_(std::make_shared<MessageReader>(std::move(decoder))),
      tally_(tally),
      refusals_(refusals) {
  hdf5_.skip_bad = reading_.bad == BadFrames::skip;
  hdf5_.columns = reading_.columns;
}

Result<std::vector<std::unique_ptr<FrameSource>>> ReplayInputs::open(const std::vector<std::string>& arguments) {
  const auto files = input_files(arguments);
  if (!files) return files.error();
  std::vector<std::unique_ptr<FrameSource>> sources;
  for (const InputFile& file : *files) {
    count_gaps(file.path);
    auto source = open_file(file);
    if (source) {
      sources.push_back(std::move(*source));
    } else if (auto left_out = refuse(source.error()); !left_out) {
      return left_out.error();
    }
  }
  if (std::all_of(sources.begin(), sources.end(), [](const auto& source) { return source->size() == 0; })) {
    return Error{"input.empty", "there is no frame in what is to be replayed", "nothing was played",
                 "was the run empty, or is another dataset meant (--dataset)?"};
  }
  return sources;
}

Result<std::unique_ptr<FrameSource>> ReplayInputs::open_file(const InputFile& file) {
  if (is_special_file(file.path)) {
    return Error{"input.absent", file.path + " cannot be read: " + kSpecialFile, "no frame was taken from it",
                 "copy what comes from it into a file; messages from the network: peaknet-feed listen"};
  }
  const bool message = reading_.messages || file.received_ns || begins_as_message(file.path);
  if (!message && reading_.rehearsal != nullptr) {
    if (auto seen = reading_.rehearsal->look(file.path, geometry_); !seen) return seen.error();
  }
  auto source = message
                    ? as_frames(MessageFileSource::open(file, geometry_, reader_))
                    : as_frames(Hdf5Source::open(file.path, reading_.dataset, geometry_, reading_.narrowing, hdf5_));
  if (!source) return source;
  if (!file.events.empty()) {
    const std::uint64_t last = *std::max_element(file.events.begin(), file.events.end());
    if (last >= (*source)->size() || (file.only_event && (*source)->size() != 1)) {
      return Error{"input.list",
                   "a list names " + (file.only_event ? "the only event" : "event " + std::to_string(last)) + " of " +
                       file.path + ", which has " + std::to_string((*source)->size()),
                   "no frame was taken from it", "was the list made for another file of this name?"};
    }
    source = std::unique_ptr<FrameSource>(std::make_unique<SelectedSource>(std::move(*source), file.events));
  }
  if (!reading_.bad_pixels.empty())
    source = std::unique_ptr<FrameSource>(std::make_unique<MarkedSource>(std::move(*source), reading_.bad_pixels));
  if (!reading_.preload) return source;
  return as_frames(PreloadedSource::load(**source, hdf5_.skip_bad, reading_.columns.table));
}

Status ReplayInputs::refuse(const Error& error) {
  if (reading_.bad == BadFrames::end) return error;
  refusals_.refuse(error);
  return {};
}

// Files of lclstreamer's file handler have numbers: what is not there is said, and counted.
void ReplayInputs::count_gaps(const std::string& path) {
  std::string source;
  std::uint64_t number = 0;
  if (!numbered_name(path, source, number)) return;
  gaps_.saw(source, number);
  const auto known = gaps_.at_end();
  tally_.gaps(known.missing, known.unclear);
}

}  // namespace peaknet::feed
