#include "feed/arguments.hpp"

namespace peaknet::feed {
namespace {

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
  command.add_option("--timestamp-field", arguments.decode.timestamp, "name of the time of an event in the messages")
      ->capture_default_str();
  command
      .add_option("--wavelength-field", arguments.decode.wavelength,
                  "name of the photon energy or wavelength in the messages (feed.wavelength_unit)")
      ->capture_default_str();
}

void add_endpoints(CLI::App& command, std::vector<std::string>& endpoints) {
  command.add_option("--endpoint", endpoints, "instead of feed.endpoints; may be repeated")
      ->allow_extra_args(false)
      ->type_name("'bind|connect ADDRESS'");
}

}  // namespace

void add_common(CLI::App& command, CommonArguments& common) {
  command.add_option("--config", common.config, "YAML configuration, the same file as for peaknetd")->type_name("FILE");
  command.add_option("--set", common.overrides, "a key of the configuration, as pool.slots=32; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  command.add_flag("--json", common.json, "print the counts at the end as one JSON object on stdout");
  command.add_option("--wait", common.wait_seconds, "wait so long for peaknetd, if it does not run yet")
      ->check(CLI::Range(0.0, 1e9))
      ->type_name("SECONDS");
  command.add_option("--label", common.label, "what this feed is called in peaknetctl stats")->type_name("NAME");
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
      ->type_name("DATASET");
  auto* rate = command.add_option("--rate", arguments.speed.hz, "frames a second; 0 (default): as fast as possible")
                   ->check(CLI::Range(0.0, 1e9))
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
                   "continue after a file or a frame that cannot be taken; each is counted and logged");
}

void add_simulate(CLI::App& command, SimulateArguments& arguments) {
  command.add_option("--frames,--total-samples", arguments.simulation.frames, "how many frames")
      ->required()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40))
      ->type_name("N");
  command
      .add_option("--rate", arguments.speed.hz, "frames a second, of all producers; 0 (default): as fast as possible")
      ->check(CLI::Range(0.0, 1e9))
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

namespace {
void add_listening(CLI::App& command, ListenArguments& arguments) {
  command.add_option("--count", arguments.count, "end after so many events; 0 (default): never")->type_name("N");
  command
      .add_option("--idle-seconds", arguments.idle_seconds,
                  "end after so long without a message (default: feed.idle_seconds)")
      ->check(CLI::Range(0.0, 1e9))
      ->type_name("S");
  command.add_flag("--end-with-run", arguments.end_with_run,
                   "end when a sender has ended its run (Simplon) and nothing came for a second");
  command
      .add_option("--keep-rejected", arguments.quarantine,
                  "keep messages that cannot be used in this folder (8 of a cause, 4 GiB in all)")
      ->type_name("FOLDER");
  command.add_option("--threads", arguments.threads, "decoder threads (default 1)")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  add_decode(command, arguments.decode);
}

}  // namespace

void add_listen(CLI::App& command, ListenArguments& arguments) {
  add_endpoints(command, arguments.endpoints);
  add_listening(command, arguments);
}

void add_request(CLI::App& command, RequestArguments& arguments) {
  command
      .add_option("FILE", arguments.file,
                  "what is asked for: lclstreamer's configuration, or a whole request with `parameters`; YAML or JSON")
      ->required();
  command.add_option("--service", arguments.service, "address of lclstream_api")
      ->required()
      ->type_name("https://HOST/PATH");
  command.add_option("--token-file", arguments.token_file, "a file with the token that the service wants")
      ->type_name("FILE");
  command
      .add_option("--authorities", arguments.authorities,
                  "whose certificates are believed, as PEM (default: the system's)")
      ->type_name("FILE");
  command
      .add_option("--wait-stream", arguments.wait_seconds,
                  "give up when there is no stream after so long (default 600)")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  add_listening(command, arguments.listen);
}

void add_record(CLI::App& command, RecordArguments& arguments) {
  RecordOptions& options = arguments.options;
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
      .add_option("--idle-seconds", arguments.idle_seconds,
                  "end after so long without a message (default: feed.idle_seconds)")
      ->check(CLI::Range(0.0, 1e9))
      ->type_name("S");
}

}  // namespace peaknet::feed
