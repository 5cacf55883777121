// How a document is shown: as JSON, as plain lines, or as text for people. One way for every command.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "base/terminal.hpp"
#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Makes the text for people, in lines of at most `width` columns.
using Render = std::string (*)(const nlohmann::json& document, std::size_t width);
void show(const Options& options, const nlohmann::json& document, Render render, std::ostream& out);

// A text for people as this terminal shows it: with colours, or without what it cannot show.
std::string as_shown(const Terminal& terminal, const std::string& text);

// A document alone, as --json shows it.
void show_json(std::ostream& out, const nlohmann::json& document);

// Show an error: on `err` for people (in the lines of a terminal where stderr is one), with `json` on `out` too, as a
// peaknet.error/1 document.
ExitCode show_error(const Error& error, bool json, std::ostream& out, std::ostream& err);

// "frames.committed<TAB>12", a line for each value, in the document's order; lists count from 0. Texts as they are but
// for control characters, null as nothing.
std::string plain_lines(const nlohmann::json& document);

// The words that an eye should find, coloured where they stand as words: good ones green, bad ones red, others yellow.
std::string painted(const std::string& text);

}  // namespace peaknet::ctl
