#include "ctl/cli.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string_view>

#include "base/process_limits.hpp"
#include "ctl/document_output.hpp"

namespace peaknet::ctl {

int run(int argc, const char* const* argv,
        ExitCode (*run_command)(const Options& options, std::ostream& out, std::ostream& err)) {
  auto options = parse_options(argc, argv);
  if (!options) {
    // The command line could not be read, but whoever asked for JSON anywhere in it will read JSON.
    const bool json =
        std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
    return static_cast<int>(show_error(options.error(), json, std::cout, std::cerr));
  }
  options->terminal = Terminal::of(STDOUT_FILENO);
  ExitCode code = ExitCode::failed;
  try {
    code = run_command(*options, std::cout, std::cerr);
  } catch (const std::exception& failure) {
    code = show_error(unexpected(failure).error(), options->json, std::cout, std::cerr);
  }
  if (std::cout.flush()) return static_cast<int>(code);
  return static_cast<int>(show_error({"cli.output", "what was found could not be written to stdout",
                                      "the command itself was carried out", "see where stdout leads, and df there"},
                                     false, std::cerr, std::cerr));
}

}  // namespace peaknet::ctl
