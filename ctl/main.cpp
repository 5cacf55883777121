// peaknetctl: the operator's tool. See docs/protocol.md for the documents and the exit codes.
#include "base/descriptor_limit.hpp"
#include "ctl/commands.hpp"
#include "ctl/program.hpp"

int main(int argc, char** argv) {
  peaknet::raise_descriptor_limit();
  return peaknet::ctl::run(argc, argv, peaknet::ctl::carry_out);
}
