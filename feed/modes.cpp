#include "feed/modes.hpp"

#include <cstdio>
#include <utility>

#include "base/command_words.hpp"
#include "base/fatal.hpp"
#include "base/progress_line.hpp"
#include "feed/frame_shape.hpp"
#include "feed/play.hpp"
#include "feed/progress.hpp"
#include "feed/record.hpp"
#include "feed/replay_inputs.hpp"
#include "feed/replay_source.hpp"
#include "feed/simulated_source.hpp"

namespace peaknet::feed {
namespace {

std::optional<Ending> ending_of(const std::optional<PlayFailure>& failure) {
  if (!failure) return std::nullopt;
  return Ending{failure->error, failure->outcome == Delivery::Outcome::bad_frame ? kExitData : kExitUnavailable};
}

}  // namespace

std::chrono::nanoseconds seconds(double value) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(value));
}

std::optional<Ending> replay(const ReplayArguments& arguments, const config::Config& config,
                             const BadPixels& bad_pixels, Readers readers, const Producers& producers,
                             FeedCounters& tally, const Stops& stops) {
  const BadFrames bad = arguments.skip_bad ? BadFrames::skip : BadFrames::end;
  Refusals refusals(tally, &producers.front()->participant());
  ReplayInputs inputs({.dataset = arguments.dataset,
                       .messages = arguments.messages,
                       .preload = arguments.preload,
                       .narrowing = arguments.narrow ? Narrowing::allow : Narrowing::refuse,
                       .bad = bad,
                       .rehearsal = readers.rehearsal.get(),
                       .bad_pixels = bad_pixels,
                       .columns = config.feed.columns},
                      producers.front()->geometry(), std::move(readers.decoders.all.front()), tally, refusals);
  auto sources = inputs.open(arguments.files);
  if (!sources) return Ending{sources.error(), kExitData};
  ReplaySource source(std::move(*sources), arguments.repeat, arguments.blank_between);
  const ProgressLine progress(progress_of(tally, arguments.repeat == 0 ? 0 : source.size()));
  return ending_of(play(source, producers, arguments.speed, tally, stops.stop(), bad));
}

std::optional<Ending> simulate(const SimulateArguments& arguments, const Producers& producers, FeedCounters& tally,
                               const Stops& stops) {
  const shm::Geometry geometry = producers.front()->geometry();
  SimulationOptions simulation = arguments.simulation;
  if (const auto& shape = arguments.shape; !shape.empty()) {
    if (shape[0] != geometry.panels || shape[1] > geometry.height || shape[2] > geometry.width || shape[1] == 0 ||
        shape[2] == 0) {
      const std::vector<std::uint64_t> dims(shape.begin(), shape.end());
      return Ending{shape_error("--shape", dims, geometry), kExitData};
    }
    simulation.height = shape[1];
    simulation.width = shape[2];
  }
  SimulatedSource source(geometry, simulation);
  if (!arguments.truth.empty()) {
    if (auto written = write_truth(source, arguments.truth); !written)
      return Ending{written.error(), kExitCannotCreate};
  }
  const ProgressLine progress(progress_of(tally, source.size()));
  return ending_of(play(source, producers, arguments.speed, tally, stops.stop()));
}

std::optional<Ending> listen(const ListenArguments& arguments, const config::Config& config,
                             const BadPixels& bad_pixels, Decoders decoders, const Producers& producers,
                             FeedCounters& tally, const std::stop_token& stop, const std::stop_token& now) {
  ListenOptions options;
  options.endpoints = arguments.endpoints.empty() ? config.feed.endpoints : arguments.endpoints;
  options.count = arguments.count;
  options.end_with_run = arguments.end_with_run;
  options.quarantine = arguments.quarantine;
  options.idle = seconds(arguments.idle_seconds.value_or(config.feed.idle_seconds));
  options.bad_pixels = bad_pixels;
  auto listener = Listener::open(options, std::move(decoders));
  if (!listener) {
    const bool configured = listener.error().id.starts_with("config.");
    return Ending{listener.error(), configured ? kExitConfig : kExitUnavailable};
  }
  for (const std::string& opened : (*listener)->opened()) std::fprintf(stderr, "%s\n", opened.c_str());
  const ProgressLine progress(progress_of(tally, arguments.count));
  if (auto error = (*listener)->run(producers, tally, stop, now)) return Ending{*error, kExitUnavailable};
  const Counts counts = tally.counts();
  if (counts.committed + counts.refused > 0 || counts.failures() == counts.stopped()) return std::nullopt;
  return Ending{{"listen.nothing-taken", "of " + std::to_string(counts.messages) + " messages none could be used",
                 "the pool is as it was", "the log says why; is this sender one that docs/feed.md names?"},
                kExitData};
}

int record(const RecordArguments& arguments, const config::Config& config, bool json, const Stops& stops) {
  RecordOptions options = arguments.options;
  if (options.endpoints.empty()) options.endpoints = config.feed.endpoints;
  options.idle = seconds(arguments.idle_seconds.value_or(config.feed.idle_seconds));
  auto recorder = Recorder::open(options);
  if (!recorder) {
    const std::string& id = recorder.error().id;
    throw Fatal(recorder.error(), id.starts_with("config.")   ? kExitConfig
                                  : id.starts_with("record.") ? kExitCannotCreate
                                                              : kExitUnavailable);
  }
  for (const std::string& address : (*recorder)->addresses())
    std::fprintf(stderr, "recording from %s to %s\n", address.c_str(), (*recorder)->list().c_str());
  const auto start = std::chrono::steady_clock::now();
  const auto error = (*recorder)->run(stops.stop());
  const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const RecordCounts counts = (*recorder)->counts();
  std::fprintf(stderr, "%s\n", record_text(counts, spent).c_str());
  if (json) print_document(record_json(counts, spent) + "\n");
  if (!error) return 0;
  std::fprintf(stderr, "%s: %s\n", kProgram, error->text().c_str());
  return kExitCannotCreate;
}

}  // namespace peaknet::feed
