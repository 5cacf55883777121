// output.run_name: what stands for the run in the names of its files, a text with fields in braces.
#pragma once

#include <regex>
#include <string>
#include <string_view>

namespace peaknet::config {

inline constexpr const char* kRunNameForm =
    "1 to 96 letters, digits, '.', '_' or '-' with {run} among them, and {run_number}, {proposal} or {user}";

struct RunNameFields {
  std::string run, run_number, proposal, user;
};

// {run} must be there: files of two runs have different names.
bool is_run_name(const std::string& form);
// `form` is one.
std::string fill_run_name(std::string_view form, const RunNameFields& fields);

// Which names of files can be of a run: who looks for them knows its id, and neither what was said of it nor the run of
// the source that may follow. Where ids and texts have '_' or '-' in them, a name may be of two runs.
class StemsOfRun {
 public:
  // `form`: output.run_name.
  StemsOfRun(const std::string& prefix, const std::string& form, const std::string& run);
  // `stem`: what the names of files of one run have in common (cxi/file_name.hpp).
  bool has(const std::string& stem) const { return std::regex_match(stem, stems_); }

 private:
  std::regex stems_;
};

}  // namespace peaknet::config
