// How every program reads its command line: options may stand where people type them, and what is wrong is told with
// the word that was most likely meant.
//
// Threads: any; `read_command_line` belongs to main. Errors: cli.usage (exit code 2), cli.output (exit code 73).
#pragma once

#include <string>
#include <vector>

#include "base/command_line.hpp"
#include "base/result.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class ParseError;
}

namespace peaknet {

// `peaknet-feed --frames 9 simulate` as `peaknet-feed simulate --frames 9`: options that a command has and the program
// has not may stand before it. Words that cannot be told so are left as they are, for the parser to refuse.
// words[0]: the program.
std::vector<std::string> command_first(const CommandText& program, std::vector<std::string> words);

// What is wrong with the words that `app` has just refused.
Error usage_error(const CLI::App& app, const CLI::ParseError& error);
// `before`: what the remedy is to begin with, "peaknetctl help ".
Error unknown_command(const CLI::App& app, const std::string& word, const std::string& before);

// Parses, with `help` and `help COMMAND`. False: all that was asked for, as --help, is printed. Throws Fatal.
bool read_command_line(CLI::App& app, int argc, const char* const* argv);

// To stdout as a whole. Throws Fatal.
void print_document(const std::string& text);

}  // namespace peaknet
