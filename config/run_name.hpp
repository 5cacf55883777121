// output.run_name: what stands for the run in the names of its files, a text with fields in braces. Pure functions.
#pragma once

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

}  // namespace peaknet::config
