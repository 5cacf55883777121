#include "ctl/exec_files_tool.hpp"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

namespace peaknet::ctl {
namespace {

namespace fs = std::filesystem;

Error missing(const std::string& program, int why) {
  return {"cli.part-missing",
          "cannot start " + program +
              ", the part of peaknetctl that reads files and draws: " + std::generic_category().message(why),
          "nothing was looked at",
          "install the package peaknetctl again (in a build tree: cmake --build, target peaknetctl)"};
}

}  // namespace

bool is_about_files(std::string_view command) {
  return command == "audit" || command == "page" || command == "trace" || command == "view";
}

Error exec_files_tool(const Options& options) {
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  if (failed) return missing("peaknetctl-files (/proc/self/exe does not say from where)", failed.value());
  const std::string program = (self.parent_path() / PEAKNET_LIBEXEC_FROM_BIN / "peaknetctl-files").lexically_normal();
  std::vector<std::string> words = options.words;
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(program.c_str(), arguments.data());
  return missing(program, errno);
}

}  // namespace peaknet::ctl
