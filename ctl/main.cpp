// peaknetctl: the operator's tool. See docs/protocol.md for the documents and the exit codes.
#include "ctl/commands.hpp"
#include "ctl/program.hpp"

int main(int argc, char** argv) { return peaknet::ctl::run(argc, argv, peaknet::ctl::carry_out); }
