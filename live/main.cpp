// peaknet-live: hits to CrystFEL while a run goes on, or of a finished one. See docs/live.md.
//
// Exit codes: 0 after SIGTERM or SIGINT, 2 usage, 70 an internal failure, 71 no threads, descriptors or memory, 73 the
// port, the folder or a book cannot be had, 78 configuration.
#include <CLI/CLI.hpp>
#include <exception>
#include <string>
#include <vector>

#include "base/bus_error.hpp"
#include "base/command_line.hpp"
#include "base/command_words.hpp"
#include "base/fatal.hpp"
#include "base/log.hpp"
#include "base/process_limits.hpp"
#include "base/program.hpp"
#include "base/stop_signal.hpp"
#include "base/text.hpp"
#include "config/config.hpp"
#include "live/service.hpp"
#include "peaknet_version.hpp"

namespace peaknet::live {
namespace {

constexpr const char* kProgram = "peaknet-live";

int run(int argc, char** argv) {
  StopSignal signal;
  CLI::App app{"Gives hits to CrystFEL's indexamajig while they are written, or of a finished run, over ZeroMQ.",
               kProgram};
  app.set_version_flag("-V,--version", std::string(kProgram) + " " + kVersion);
  std::string file;
  std::vector<std::string> overrides;
  ServiceOptions options;
  app.add_option("--config", file, "configuration file (YAML); without it every key has its default")
      ->type_name("FILE");
  app.add_option("--set", overrides, "a key of the configuration, as key=value; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  app.add_option("--run", options.run,
                 "serve this run alone, which may be over (default: the newest, and all that follow)")
      ->type_name("ID");
  app.add_option("--name", options.name,
                 "of this server; a second one with another name serves all hits once more (default live)")
      ->check([](const std::string& text) {
        return is_plain_name(text, 32) ? std::string() : "a name of letters, digits, '.', '_' and '-', 32 at most";
      })
      ->type_name("NAME");
  app.add_option("--stream", options.streams,
                 "a stream that indexamajig writes of these hits; may be repeated. What it indexed is in the counts")
      ->allow_extra_args(false)
      ->type_name("FILE");
  app.footer(
      "Index while you measure:\n"
      "  peaknet-live --config mfx.yaml\n"
      "  indexamajig --zmq-input=tcp://HOST:12322 --zmq-request=next --data-format=msgpack --peaks=msgpack -g "
      "PREFIX.live.geom -o out.stream -j 16 --copy-header=frame\n"
      "Exit codes: 0 after SIGTERM or SIGINT, 2 usage, 70 an internal failure, 71 no threads, descriptors or memory, "
      "73 "
      "the port, the folder or a book cannot be had, 78 configuration.");
  add_document_flags(app, kVersion, 8, "peaknetd (8), peaknet-writer (8), peaknetctl (1)");
  set_help_text(app);
  if (!read_command_line(app, argc, argv)) return 0;
  const auto config = config::load(file, overrides);
  if (!config) throw Fatal(config.error(), kExitConfig);
  set_up_log(kProgram, config->log.level);
  if (auto room = room_for(kMessagingThreads, kMessagingDescriptors); !room) throw Fatal(room.error(), kExitSystem);
  serve(*config, options, signal);
  return 0;
}

}  // namespace
}  // namespace peaknet::live

int main(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::service);
  peaknet::end_clearly_on_bus_error("peaknet-live");
  try {
    return peaknet::live::run(argc, argv);
  } catch (const peaknet::Fatal& fatal) {
    peaknet::say_last_words("peaknet-live", fatal.what());
    return fatal.exit_code();
  } catch (const std::exception& failure) {
    const peaknet::Fatal fatal = peaknet::unexpected(failure);
    peaknet::say_last_words("peaknet-live", fatal.what());
    return fatal.exit_code();
  }
}
