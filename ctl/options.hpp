// The command line of peaknetctl as a value.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/command_line.hpp"
#include "base/result.hpp"
#include "base/terminal.hpp"

namespace peaknet::ctl {

struct Options {
  std::string command;             // as in `peaknetctl --help`; "" when `help` is all there is to do
  std::string help;                // text asked for with --help, `help` or --version
  std::string help_for;            // help: of this command; "": of all
  std::vector<std::string> words;  // the command line with its words in full, the program's name first

  std::string config;    // file
  std::string instance;  // "": that of the configuration; without one see target.hpp
  std::string hosts;     // status, stats, page: of these machines, added up
  std::string endpoint;  // with hosts: where they listen, "{host}" in it
  bool json = false;
  bool plain = false;                                // `key TAB value` lines, for cut and grep
  Terminal terminal;                                 // stdout, as main found it
  std::optional<std::chrono::milliseconds> timeout;  // for an answer, if it is not to be that of the command

  std::string key;                                  // start, stop, rebuffer; "": a fresh one
  std::string run;                                  // start
  std::optional<std::uint32_t> run_number;          // start
  std::string proposal, user;                       // start; "": not said
  bool no_writer = false;                           // start: also without a writer
  bool now = false;                                 // stop: do not wait for frames
  bool drain = false;                               // stop: as it is without `now`; for people who want to say it
  bool dry_run = false;                             // rebuffer
  bool check = false;                               // status: an exit code for scripts, and what is wrong
  std::string frame;                                // trace: "PRODUCER:NUMBER" or an event id
  std::string action;                               // config: show, check, import
  std::vector<std::string> files;                   // config check, config import, keygen; init: the name
  std::vector<std::string> settings;                // init: "pool.slots=128"
  std::string shell;                                // completion
  std::string png;                                  // view
  bool follow = false;                              // view
  std::string listen;                               // exporter, page: "127.0.0.1:PORT"
  std::string token_file;                           // page; "": no secret is asked for
  std::string textfile;                             // exporter
  bool repeat = false;                              // exporter: write the file again and again
  std::chrono::milliseconds stop_timeout{120'000};  // stop
  std::uint32_t depth = 0;                          // rebuffer; 0: leave it
  std::uint32_t batch = 0;                          // rebuffer; 0: leave it
  std::uint32_t slots = 0;                          // rebuffer; 0: leave them
  std::vector<std::uint32_t> shape;                 // rebuffer: panels, height, width; empty: leave it
  bool prometheus = false;                          // stats: as text for Prometheus
  std::chrono::milliseconds every{1000};            // watch
  unsigned count = 0;                               // watch, top, errors, history: so many; 0: all, or for ever
  std::string model_action;                         // model: show, load
  std::string model_path;                           // model load
  std::string remove;                               // instances: take this one away; "": list them
  bool with_frames = false;                         // instances: also if frames wait in it
  std::vector<std::string> folders;                 // audit, trace
  bool quick = false;                               // audit: do not read the images
  std::vector<std::string> sent;                    // audit: ledgers of senders
  std::string sent_by = "time";                     // audit: what these name events by, time or event_id
  std::string wait_for;                             // wait: idle, running, drained
  std::chrono::milliseconds wait_timeout{60'000};   // wait
};

// Errors: cli.usage, with the nearest command or option where one was misspelt.
Result<Options> parse_options(int argc, const char* const* argv);

// The command line as data, for the manual and for shell completion: the same tree that parse_options reads with.
CommandText command_line();

// "2s", "500ms", "1.5m", "120" (seconds). Errors: cli.usage.
Result<std::chrono::milliseconds> parse_span(const std::string& text);

}  // namespace peaknet::ctl
