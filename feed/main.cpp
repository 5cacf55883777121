// peaknet-feed: everything that fills Q1 and is not somebody else's program.
//   replay    frames of HDF5 and CXI files
//   simulate  random frames with known peaks
//   listen    lclstreamer's messages over ZeroMQ
//   record    such messages as files, for a later replay

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/bus_error.hpp"
#include "base/command_line.hpp"
#include "base/descriptor_limit.hpp"
#include "base/fatal.hpp"
#include "base/log.hpp"
#include "base/signal_watch.hpp"
#include "config/config.hpp"
#include "feed/deliver.hpp"
#include "feed/frame_shape.hpp"
#include "feed/hdf5_source.hpp"
#include "feed/input_files.hpp"
#include "feed/listen.hpp"
#include "feed/message_file.hpp"
#include "feed/play.hpp"
#include "feed/progress.hpp"
#include "feed/record.hpp"
#include "feed/replay_source.hpp"
#include "feed/sequence_gaps.hpp"
#include "feed/simulated_source.hpp"
#include "peaknet_version.hpp"

namespace peaknet::feed {
namespace {

constexpr const char* kProgram = "peaknet-feed";

// The signals as stop tokens: the first asks to finish cleanly, the second to do so at once.
class Stops {
 public:
  explicit Stops(StopSignal& signal)
      : watch_(signal, [this](int) {
          if (!stop_.request_stop()) now_.request_stop();
        }) {}
  std::stop_token stop() const { return stop_.get_token(); }
  std::stop_token now() const { return now_.get_token(); }

 private:
  std::stop_source stop_, now_;
  SignalWatch watch_;  // last: it uses the others
};

struct Common {
  std::string config;
  std::vector<std::string> overrides;
  bool json = false;
  double wait_seconds = 0.0;
  std::string label;
};

// How messages are read, from the network or from files.
struct DecodeArguments {
  std::string pad = "bottom-right";
  DecodeOptions decode;

  DecodeOptions options(const config::Config& config) const {
    DecodeOptions options = decode;
    options.wavelength_unit = config.feed.wavelength_unit;
    options.pad = pad == "center" ? config::PadStyle::center : config::PadStyle::bottom_right;
    return options;
  }
};

struct ReplayArguments {
  std::vector<std::string> files;
  std::string dataset;
  bool messages = false;
  DecodeArguments decode;
  Speed speed;
  std::uint64_t repeat = 1, blank_between = 0;
  bool narrow = false, preload = false, skip_bad = false;
};

struct SimulateArguments {
  SimulationOptions simulation;
  Speed speed;
  std::vector<std::uint32_t> shape;
  std::uint32_t producers = 1;
  std::string truth;
};

struct ListenArguments {
  std::vector<std::string> endpoints;
  std::uint64_t count = 0;
  std::optional<double> idle_seconds;
  std::uint32_t threads = 1;
  bool end_with_run = false;
  std::string quarantine;
  DecodeArguments decode;
};

std::chrono::nanoseconds seconds(double value) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(value));
}

// A failure that ends the program after its counts were printed.
struct Ending {
  Error error;
  int exit_code;
};

using Producers = std::vector<std::unique_ptr<shm::Producer>>;

Producers attach(const config::Config& config, const Common& common, const std::string& mode, std::uint32_t count,
                 const Stops& stops) {
  Producers producers;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string label = common.label.empty() ? std::string(kProgram) + " " + mode : common.label;
    if (count > 1) label += " " + std::to_string(i);
    auto producer = attach_producer(config.instance, label, seconds(common.wait_seconds), stops.stop());
    if (!producer) throw Fatal(producer.error(), kExitUnavailable);
    producers.push_back(std::move(*producer));
  }
  return producers;
}

std::optional<Ending> ending_of(const std::optional<PlayFailure>& failure) {
  if (!failure) return std::nullopt;
  return Ending{failure->error, failure->outcome == Delivery::Outcome::bad_frame ? kExitData : kExitUnavailable};
}

template <class Source>
Result<std::unique_ptr<FrameSource>> as_frames(Result<std::unique_ptr<Source>> source) {
  if (!source) return source.error();
  return std::unique_ptr<FrameSource>(std::move(*source));
}

// Files of lclstreamer's file handler have numbers: what is not there is said, and counted.
void count_gaps(const std::string& path, SequenceGaps& gaps, Tally& tally) {
  std::string source;
  std::uint64_t number = 0;
  if (!numbered_name(path, source, number)) return;
  gaps.saw(source, number);
  const auto known = gaps.at_end();
  tally.gaps(known.missing, known.unclear);
}

std::optional<Ending> replay(const ReplayArguments& arguments, Decoders decoders, const Producers& producers,
                             Tally& tally, const Stops& stops) {
  const auto files = input_files(arguments.files);
  if (!files) return Ending{files.error(), kExitData};
  const shm::Geometry geometry = producers.front()->geometry();
  const auto reader = std::make_shared<MessageReader>(std::move(decoders.all.front()));
  const Hdf5Reading reading{.skip_bad = arguments.skip_bad};
  const BadFrames bad = arguments.skip_bad ? BadFrames::skip : BadFrames::end;
  std::vector<std::unique_ptr<FrameSource>> sources;
  SequenceGaps gaps;
  const auto refuse = [&](const Error& error) -> std::optional<Ending> {
    if (bad == BadFrames::end) return Ending{error, kExitData};
    tally.failed(error.id);
    spdlog::warn("{}", error.text());
    return std::nullopt;
  };
  for (const InputFile& file : *files) {
    count_gaps(file.path, gaps, tally);
    const bool message = arguments.messages || file.received_ns || begins_as_message(file.path);
    auto source = message
                      ? as_frames(MessageFileSource::open(file, geometry, reader))
                      : as_frames(Hdf5Source::open(file.path, arguments.dataset, geometry,
                                                   arguments.narrow ? Narrowing::allow : Narrowing::refuse, reading));
    if (!source) {
      if (auto ending = refuse(source.error())) return ending;
      continue;
    }
    if (!file.events.empty()) {
      const std::uint64_t last = *std::max_element(file.events.begin(), file.events.end());
      if (last >= (*source)->size()) {
        const Error none{"input.list",
                         "a list names event " + std::to_string(last) + " of " + file.path + ", which has " +
                             std::to_string((*source)->size()),
                         "no frame was taken from it", "was the list made for another file of this name?"};
        if (auto ending = refuse(none)) return ending;
        continue;
      }
      source = std::unique_ptr<FrameSource>(std::make_unique<SelectedSource>(std::move(*source), file.events));
    }
    if (!arguments.preload) {
      sources.push_back(std::move(*source));
      continue;
    }
    auto loaded = PreloadedSource::load(**source, arguments.skip_bad);
    if (!loaded) return Ending{loaded.error(), kExitData};
    sources.push_back(std::move(*loaded));
  }
  if (std::all_of(sources.begin(), sources.end(), [](const auto& source) { return source->size() == 0; })) {
    return Ending{{"input.empty", "there is no frame in what is to be replayed", "nothing was played",
                   "was the run empty, or is another dataset meant (--dataset)?"},
                  kExitData};
  }
  ReplaySource source(std::move(sources), arguments.repeat, arguments.blank_between);
  const ProgressLine progress(tally, arguments.repeat == 0 ? 0 : source.size());
  return ending_of(play(source, producers, arguments.speed, tally, stops.stop(), bad));
}

std::optional<Ending> simulate(const SimulateArguments& arguments, const Producers& producers, Tally& tally,
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
  const ProgressLine progress(tally, source.size());
  return ending_of(play(source, producers, arguments.speed, tally, stops.stop()));
}

std::optional<Ending> listen(const ListenArguments& arguments, const config::Config& config, Decoders decoders,
                             const Producers& producers, Tally& tally, const Stops& stops) {
  ListenOptions options;
  options.endpoints = arguments.endpoints.empty() ? config.feed.endpoints : arguments.endpoints;
  options.count = arguments.count;
  options.end_with_run = arguments.end_with_run;
  options.quarantine = arguments.quarantine;
  options.idle = seconds(arguments.idle_seconds.value_or(config.feed.idle_seconds));
  auto listener = Listener::open(options, std::move(decoders));
  if (!listener) {
    const bool configured = listener.error().id.starts_with("config.");
    return Ending{listener.error(), configured ? kExitConfig : kExitUnavailable};
  }
  for (const std::string& opened : (*listener)->opened()) std::fprintf(stderr, "%s\n", opened.c_str());
  const ProgressLine progress(tally, arguments.count);
  if (auto error = (*listener)->run(producers, tally, stops.stop(), stops.now()))
    return Ending{*error, kExitUnavailable};
  const Counts counts = tally.counts();
  if (counts.committed + counts.refused > 0 || counts.failures() == counts.stopped()) return std::nullopt;
  return Ending{{"listen.nothing-taken", "of " + std::to_string(counts.messages) + " messages none could be used",
                 "the pool is as it was", "the log says why; is this sender one that docs/feed.md names?"},
                kExitData};
}

// No pool and no peaknetd: it only writes files.
int record(RecordOptions options, const std::optional<double>& idle_seconds, const config::Config& config, bool json,
           const Stops& stops) {
  if (options.endpoints.empty()) options.endpoints = config.feed.endpoints;
  options.idle = seconds(idle_seconds.value_or(config.feed.idle_seconds));
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
  if (json) std::printf("%s\n", record_json(counts, spent).c_str());
  if (!error) return 0;
  std::fprintf(stderr, "%s: %s\n", kProgram, error->text().c_str());
  return kExitCannotCreate;
}

void add_common(CLI::App& command, Common& common) {
  command.add_option("--config", common.config, "YAML configuration, the same file as for peaknetd")->type_name("FILE");
  command.add_option("--set", common.overrides, "a key of the configuration, as pool.slots=32; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  command.add_flag("--json", common.json, "print the counts at the end as one JSON object on stdout");
  command.add_option("--wait", common.wait_seconds, "wait so long for peaknetd, if it does not run yet")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS");
  command.add_option("--label", common.label, "what this feed is called in peaknetctl stats")->type_name("NAME");
}

void add_decode(CLI::App& command, DecodeArguments& arguments) {
  command.add_option("--pad", arguments.pad, "where the sender pads its images (default bottom-right)")
      ->check(CLI::IsMember({"bottom-right", "center"}));
  command.add_flag("--normalised", arguments.decode.normalised,
                   "the sender normalises its images: they are not detector counts");
  command.add_option("--image-field", arguments.decode.image, "name of the images in the messages")
      ->capture_default_str();
  command
      .add_option("--raw-field", arguments.decode.raw, "name of the detector's counts, taken instead where they are")
      ->capture_default_str();
  command.add_flag(
      "--simplon-energy", arguments.decode.simplon_energy,
      "photon_energy of lclstreamer's old Simplon dialect (main, v0.8.0) is that of the photons; by itself it "
      "is that of the electron beam, and not taken");
  command.add_option("--timestamp-field", arguments.decode.timestamp)->capture_default_str();
  command.add_option("--wavelength-field", arguments.decode.wavelength)->capture_default_str();
}

void add_replay(CLI::App& command, ReplayArguments& arguments) {
  command
      .add_option("FILE", arguments.files,
                  "HDF5 or CXI files, messages of lclstreamer's file handler, folders of such files, or lists of them "
                  "(*.lst)")
      ->required();
  command.add_flag("--messages", arguments.messages, "HDF5 files are messages too: their packings, names and padding");
  add_decode(command, arguments.decode);
  command.add_option("--dataset", arguments.dataset, "where the images are; found by itself if not given")
      ->type_name("PATH");
  auto* rate = command.add_option("--rate", arguments.speed.hz, "frames a second; 0 (default): as fast as possible")
                   ->check(CLI::NonNegativeNumber)
                   ->type_name("HZ");
  command
      .add_flag("--original-timing", arguments.speed.original,
                "with the pauses that lay between the frames when they were recorded, or else measured")
      ->excludes(rate);
  command.add_option("--repeat", arguments.repeat, "play all files so often; 0: until stopped")->type_name("N");
  command.add_option("--blank-between", arguments.blank_between, "so many frames of zeros between every two frames")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000}))
      ->type_name("K");
  command.add_flag("--narrow", arguments.narrow, "allow float64 pixels to be rounded to float32");
  command.add_flag("--preload", arguments.preload, "read all files into memory first");
  command.add_flag("--skip-bad", arguments.skip_bad,
                   "go on after a file or a frame that cannot be taken; each is counted and logged");
}

void add_simulate(CLI::App& command, SimulateArguments& arguments) {
  command.add_option("--frames,--total-samples", arguments.simulation.frames, "how many frames")
      ->required()
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      .add_option("--rate", arguments.speed.hz, "frames a second, of all producers; 0 (default): as fast as possible")
      ->check(CLI::NonNegativeNumber)
      ->type_name("HZ");
  command
      .add_option("--hit-fraction", arguments.simulation.hit_fraction,
                  "share of the frames that have peaks (default 0.1)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("F");
  command.add_option("--seed", arguments.simulation.seed, "frame i of a seed is always the same (default 1)")
      ->type_name("S");
  command.add_option("--producers", arguments.producers, "so many producers at once, each in a thread (default 1)")
      ->check(CLI::Range(1, 64))
      ->type_name("P");
  command
      .add_option("--batch", arguments.speed.batch,
                  "so many frames are due together, as a burst; with --rate (default 1)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 20))
      ->type_name("N");
  command.add_option("--shape", arguments.shape, "shape of what is measured, where the pool has padding around it")
      ->delimiter(',')
      ->expected(3)
      ->type_name("C,H,W");
  command.add_flag("--crystal", arguments.simulation.crystal, "spots of a turning lysozyme crystal, not just anywhere");
  command.add_option("--dead-fraction", arguments.simulation.dead_fraction, "share of pixels that are always zero")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("F");
  command
      .add_option("--saturation", arguments.simulation.saturation, "no pixel has more counts; 0 (default): no limit")
      ->check(CLI::Range(0U, 65535U))
      ->type_name("COUNTS");
  command.add_option("--truth", arguments.truth, "write where the peaks are, as CSV")->type_name("FILE");
}

void add_endpoints(CLI::App& command, std::vector<std::string>& endpoints) {
  command.add_option("--endpoint", endpoints, "instead of feed.endpoints; may be repeated")
      ->allow_extra_args(false)
      ->type_name("'bind|connect ADDRESS'");
}

void add_record(CLI::App& command, RecordOptions& options, std::optional<double>& idle_seconds) {
  command.add_option("--prefix", options.recording.prefix, "folder and begin of the names: /data/run12/mfx")
      ->required()
      ->type_name("PATH");
  command.add_option("--rank", options.recording.rank, "of the names: for several recorders in one folder (default 0)")
      ->type_name("R");
  command.add_flag("--sync", options.recording.sync,
                   "each message is on disk (fsync) before it has its name; else all are at the end");
  add_endpoints(command, options.endpoints);
  command.add_option("--count", options.most_messages, "end with so many files; 0 (default): no limit")->type_name("N");
  command
      .add_option(
          "--max-bytes", options.most_bytes,
          "end with so many bytes in files, as 500GB or 64MiB; 0 (default): when the disk is full, senders wait")
      ->transform(CLI::AsSizeValue(true))
      ->type_name("SIZE");
  command
      .add_option("--idle-seconds", idle_seconds, "end after so long without a message (default: feed.idle_seconds)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
}

void add_listen(CLI::App& command, ListenArguments& arguments) {
  add_endpoints(command, arguments.endpoints);
  command.add_option("--count", arguments.count, "end after so many events; 0 (default): never")->type_name("N");
  command
      .add_option("--idle-seconds", arguments.idle_seconds,
                  "end after so long without a message (default: feed.idle_seconds)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  command.add_flag("--end-with-run", arguments.end_with_run,
                   "end when a sender has ended its run (Simplon) and nothing came for a second");
  command
      .add_option("--quarantine", arguments.quarantine,
                  "keep messages that cannot be used in this folder (8 of a cause, 4 GiB in all)")
      ->type_name("FOLDER");
  command.add_option("--threads", arguments.threads, "decoder threads (default 1)")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  add_decode(command, arguments.decode);
}

int run(int argc, char** argv, StopSignal& signal) {
  CLI::App app{"Fills the frame pool of peaknetd: from files, from a simulation, or from the network.", kProgram};
  app.set_version_flag("--version", std::string(kProgram) + " " + kVersion);
  app.require_subcommand(1);
  Common common;
  ReplayArguments replay_arguments;
  SimulateArguments simulate_arguments;
  ListenArguments listen_arguments;
  RecordOptions record_options;
  std::optional<double> record_idle_seconds;
  CLI::App& replay_command = *app.add_subcommand("replay", "frames of HDF5 and CXI files");
  CLI::App& simulate_command = *app.add_subcommand("simulate", "random frames with known peaks");
  CLI::App& listen_command = *app.add_subcommand("listen", "lclstreamer's messages over ZeroMQ");
  CLI::App& record_command = *app.add_subcommand("record", "such messages as files, for a later replay");
  for (CLI::App* command : {&replay_command, &simulate_command, &listen_command, &record_command})
    add_common(*command, common);
  add_replay(replay_command, replay_arguments);
  add_simulate(simulate_command, simulate_arguments);
  add_listen(listen_command, listen_arguments);
  add_record(record_command, record_options, record_idle_seconds);
  add_manual_flag(app, kVersion, 1, "peaknetd (8), peaknetctl (1), peaknet-writer (8)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : kExitUsage;
  }

  const auto config = config::load(common.config, common.overrides);
  if (!config) throw Fatal(config.error(), kExitConfig);
  set_up_log(kProgram, config->log.level);

  const std::string mode = app.get_subcommands().front()->get_name();
  const std::uint32_t count = mode == "simulate" ? simulate_arguments.producers
                              : mode == "listen" ? listen_arguments.threads
                                                 : 1;
  // Before there is a thread: they make processes.
  const bool messages = mode == "listen" || mode == "replay";
  Decoders decoders(messages ? count : 0,
                    (mode == "listen" ? listen_arguments.decode : replay_arguments.decode).options(*config));
  const Stops stops(signal);
  if (mode == "record") return record(record_options, record_idle_seconds, *config, common.json, stops);
  const Producers producers = attach(*config, common, mode, count, stops);
  Tally tally;
  const auto start = std::chrono::steady_clock::now();
  std::optional<Ending> ending;
  if (mode == "replay") {
    ending = replay(replay_arguments, std::move(decoders), producers, tally, stops);
  } else if (mode == "simulate") {
    ending = simulate(simulate_arguments, producers, tally, stops);
  } else {
    ending = listen(listen_arguments, *config, std::move(decoders), producers, tally, stops);
  }
  const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const Counts counts = tally.counts();
  std::fprintf(stderr, "%s\n", summary_text(mode, counts, spent).c_str());
  if (common.json) std::printf("%s\n", summary_json(mode, counts, spent).c_str());
  if (!ending) return 0;
  producers.front()->member().note(ending->error);  // peaknetctl errors shows it when this program has gone
  std::fprintf(stderr, "%s: %s\n", kProgram, ending->error.text().c_str());
  return ending->exit_code;
}

}  // namespace
}  // namespace peaknet::feed

int main(int argc, char** argv) {
  peaknet::end_clearly_on_bus_error("peaknet-feed");
  peaknet::raise_descriptor_limit();
  try {
    peaknet::StopSignal signal;
    return peaknet::feed::run(argc, argv, signal);
  } catch (const peaknet::Fatal& fatal) {
    std::fprintf(stderr, "peaknet-feed: %s\n", fatal.what());
    return fatal.exit_code();
  } catch (const std::exception& unexpected) {
    std::fprintf(stderr, "peaknet-feed: unexpected: %s [internal]\n", unexpected.what());
    return peaknet::kExitSoftware;
  }
}
