// Input files: what the arguments of a replay name. A folder stands for the files in it, a list (*.lst) for those it
// names, one a line, relative to the list's own folder (or, as CrystFEL has it, to where the program was started);
// everything else for itself. In a list of `peaknet-feed record` a TAB and a time follow each name; in one of
// CrystFEL's list_events a space and an event ("file.cxi //3"). Lines that begin with # are comments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace peaknet::feed {

struct InputFile {
  std::string path;
  // When this message was received, in nanoseconds since 1970; nullopt: nobody said that it is a recorded message.
  std::optional<std::int64_t> received_ns = std::nullopt;
  std::vector<std::uint64_t> events = {};  // play these, in this order; empty: all
};

// Folders in natural order: run_r2_9 before run_r2_10 before run_r10_0. Folders in folders, hidden files, lists and
// unfinished files (*.part) in folders are left out, so are the outcome logs of peaknet-writer, and of a master and the
// files that it shows one is: our masters (their files tell more), DECTRIS' data files (their master tells the order).
// A folder or a list without any file is an error, as is what is not there. Errors: input.absent, input.empty,
// input.list.
Result<std::vector<InputFile>> input_files(const std::vector<std::string>& arguments);

// Text before text, but numbers in it as numbers.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace peaknet::feed
