// peaknet-feed: everything that fills Q1 and is not somebody else's program.
//   replay    frames of HDF5 and CXI files
//   simulate  random frames with known peaks
//   listen    lclstreamer's messages over ZeroMQ
//   request   asks lclstream_api for a stream of such messages, and takes it
//   record    such messages as files, for a later replay

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/bus_error.hpp"
#include "base/command_line.hpp"
#include "base/command_words.hpp"
#include "base/fatal.hpp"
#include "base/log.hpp"
#include "base/process_limits.hpp"
#include "base/program.hpp"
#include "config/config.hpp"
#include "feed/arguments.hpp"
#include "feed/bad_pixels.hpp"
#include "feed/deliver.hpp"
#include "feed/modes.hpp"
#include "feed/progress.hpp"
#include "peaknet_version.hpp"

namespace peaknet::feed {
namespace {

struct Arguments {
  std::string mode;
  CommonArguments common;
  ReplayArguments replay;
  SimulateArguments simulate;
  ListenArguments listen;
  RequestArguments request;
  RecordArguments record;

  // What is listened with, where that is the mode.
  const ListenArguments* listening() const {
    if (mode == "listen") return &listen;
    return mode == "request" ? &request.listen : nullptr;
  }

  std::uint32_t producers() const {
    if (mode == "simulate") return simulate.producers;
    return listening() != nullptr ? listening()->threads : 1;
  }
};

// False: what was asked for is printed.
bool parse(int argc, char** argv, Arguments& arguments) {
  CLI::App app{"Fills the frame pool of peaknetd: from files, from a simulation, or from the network.", kProgram};
  app.set_version_flag("-V,--version", std::string(kProgram) + " " + kVersion);
  app.require_subcommand(1);
  CLI::App& replay_command = *app.add_subcommand("replay", "frames of HDF5 and CXI files");
  CLI::App& simulate_command = *app.add_subcommand("simulate", "random frames with known peaks");
  CLI::App& listen_command = *app.add_subcommand("listen", "lclstreamer's messages over ZeroMQ");
  CLI::App& request_command =
      *app.add_subcommand("request", "lclstreamer's messages, of a stream that it asks lclstream_api for");
  CLI::App& record_command = *app.add_subcommand("record", "such messages as files, for a later replay");
  for (CLI::App* command : {&replay_command, &simulate_command, &listen_command, &request_command, &record_command})
    add_common(*command, arguments.common);
  add_replay(replay_command, arguments.replay);
  add_simulate(simulate_command, arguments.simulate);
  add_listen(listen_command, arguments.listen);
  add_request(request_command, arguments.request);
  add_record(record_command, arguments.record);
  add_document_flags(app, kVersion, 1, "peaknetd (8), peaknetctl (1), peaknet-writer (8)");
  set_help_text(app);
  if (!read_command_line(app, argc, argv)) return false;
  arguments.mode = app.get_subcommands().front()->get_name();
  return true;
}

// None: it was told to end while it waited for peaknetd.
Producers attach(const config::Config& config, const Arguments& arguments, const Stops& stops) {
  Producers producers;
  const CommonArguments& common = arguments.common;
  const std::uint32_t count = arguments.producers();
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string label = common.label.empty() ? std::string(kProgram) + " " + arguments.mode : common.label;
    if (count > 1) label += " " + std::to_string(i);
    auto producer = attach_producer(config.instance, label, seconds(common.wait_seconds), stops.stop());
    if (!producer && stops.stop().stop_requested()) return {};
    if (!producer) throw Fatal(producer.error(), kExitUnavailable);
    producers.push_back(std::move(*producer));
  }
  return producers;
}

int finish(const std::string& mode, const Counts& counts, double spent, bool json, const Producers& producers,
           const std::optional<Ending>& ending) {
  std::fprintf(stderr, "%s\n", summary_text(mode, counts, spent).c_str());
  if (ending) {
    // peaknetctl errors shows it when this program has gone. What was counted by its cause stands there already.
    if (!counts.failed.contains(ending->error.id)) producers.front()->participant().record_error(ending->error);
    say_last_words(kProgram, ending->error.text());
  }
  if (json) print_document(summary_json(mode, counts, spent) + "\n");
  return ending ? ending->exit_code : 0;
}

int run(int argc, char** argv, StopSignal& signal) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) return 0;
  const std::string& mode = arguments.mode;
  const bool json = arguments.common.json;
  const auto config = config::load(arguments.common.config, arguments.common.overrides);
  if (!config) throw Fatal(config.error(), kExitConfig);
  set_up_log(kProgram, config->log.level);

  // Before there is a thread: they make processes.
  const ListenArguments* const listening = arguments.listening();
  const bool messages = listening != nullptr || mode == "replay";
  const DecodeArguments& decode = listening != nullptr ? listening->decode : arguments.replay.decode;
  Readers readers{{messages ? arguments.producers() : 0, decode.options(*config)}, nullptr};
  if (mode == "replay")
    readers.rehearsal =
        std::make_unique<Hdf5Rehearsal>(arguments.replay.dataset, arguments.replay.skip_bad, config->feed.columns);
  const Stops stops(signal);
  if (mode == "record") return record(arguments.record, *config, json, stops);
  const Producers producers = attach(*config, arguments, stops);
  if (producers.empty()) return finish(mode, {}, 0.0, json, producers, std::nullopt);
  const auto bad_pixels = messages ? read_bad_pixels(*config, *producers.front()) : Result<BadPixels>(BadPixels{});
  if (!bad_pixels) throw Fatal(bad_pixels.error(), kExitConfig);
  FeedCounters tally;
  const auto start = std::chrono::steady_clock::now();
  std::optional<Ending> ending;
  if (mode == "replay") {
    ending = replay(arguments.replay, *config, *bad_pixels, std::move(readers), producers, tally, stops);
  } else if (mode == "simulate") {
    ending = simulate(arguments.simulate, producers, tally, stops);
  } else if (mode == "request") {
    ending = request(arguments.request, *config, *bad_pixels, std::move(readers.decoders), producers, tally, stops);
  } else {
    ending = listen(arguments.listen, *config, *bad_pixels, std::move(readers.decoders), producers, tally, stops.stop(),
                    stops.now());
  }
  const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return finish(mode, tally.counts(), spent, json, producers, ending);
}

}  // namespace
}  // namespace peaknet::feed

int main(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::service);
  peaknet::end_clearly_on_bus_error("peaknet-feed");
  try {
    peaknet::StopSignal signal;
    return peaknet::feed::run(argc, argv, signal);
  } catch (const peaknet::Fatal& fatal) {
    peaknet::say_last_words("peaknet-feed", fatal.what());
    return fatal.exit_code();
  } catch (const std::exception& failure) {
    const peaknet::Fatal fatal = peaknet::unexpected(failure);
    peaknet::say_last_words("peaknet-feed", fatal.what());
    return fatal.exit_code();
  }
}
