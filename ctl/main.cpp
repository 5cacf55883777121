// peaknetctl: the operator's tool. See docs/protocol.md for the documents and the exit codes.
#include "base/program.hpp"
#include "ctl/cli.hpp"
#include "ctl/commands.hpp"

int main(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::tool);
  return peaknet::ctl::run(argc, argv, peaknet::ctl::run_command);
}
