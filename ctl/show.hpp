// How a document is shown: as JSON, as plain lines, or as text for people. One way for every verb.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// `render` makes the text for people.
void show(const Options& options, const nlohmann::json& document, std::string (*render)(const nlohmann::json&),
          std::ostream& out);

// A document alone, as --json shows it.
void show_json(std::ostream& out, const nlohmann::json& document);

// Show an error: on `err` for people, with `json` on `out` too, as a peaknet.error/1 document.
ExitCode show_error(const Error& error, bool json, std::ostream& out, std::ostream& err);

// "frames.committed<TAB>12", a line for each value, in the document's order; lists count from 0. Texts as they are but
// for control characters, null as nothing.
std::string plain_lines(const nlohmann::json& document);

// The words that an eye should find, coloured: good ones green, bad ones red, others yellow.
std::string painted(const std::string& text);

}  // namespace peaknet::ctl
