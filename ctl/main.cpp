// peaknetctl: the operator's tool. See docs/protocol.md for the documents and the exit codes.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "ctl/commands.hpp"

int main(int argc, char** argv) {
  auto options = peaknet::ctl::parse_options(argc, argv);
  if (!options) {
    // The command line could not be read, but whoever asked for JSON anywhere in it will read JSON.
    const bool json =
        std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
    return static_cast<int>(peaknet::ctl::show_error(options.error(), json, std::cout, std::cerr));
  }
  options->colour = ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return static_cast<int>(peaknet::ctl::carry_out(*options, std::cout, std::cerr));
}
