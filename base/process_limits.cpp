#include "base/process_limits.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <latch>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/text.hpp"

namespace peaknet {
namespace {

constexpr const char* kUntouched = "committed frames are where they were";

std::string in_parentheses(const std::vector<std::string>& limits, const std::string& none) {
  if (limits.empty()) return " (" + none + ")";
  std::string text;
  for (const auto& limit : limits) text += (text.empty() ? " (" : ", ") + limit;
  return text + ")";
}

std::vector<std::string> memory_limits(const ControlGroups& groups) {
  std::vector<std::string> limits;
  if (const auto most = limit_of(RLIMIT_AS))
    limits.push_back("RLIMIT_AS: " + human_bytes(*most) + " of address space for this program");
  if (const auto most = memory_limit(groups))
    limits.push_back(most->file + ": " + human_bytes(most->value) + " for this control group");
  return limits;
}

Status threads_to_have(unsigned count) {
  std::latch tried(1);
  std::vector<std::jthread> threads;
  threads.reserve(count);
  int cause = 0;
  for (unsigned i = 0; i < count && cause == 0; ++i) {
    try {
      threads.emplace_back([&tried] { tried.wait(); });
    } catch (const std::system_error& none) {
      cause = none.code().value();
    }
  }
  tried.count_down();
  threads.clear();
  if (cause != 0) return no_threads(cause);
  return {};
}

Status descriptors_to_have(unsigned count) {
  std::vector<int> opened;
  opened.reserve(count);
  int cause = 0;
  while (opened.size() < count && cause == 0) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      cause = errno;
    } else {
      opened.push_back(fd);
    }
  }
  for (const int fd : opened) ::close(fd);
  if (cause == EMFILE || cause == ENFILE) return no_descriptors(cause);
  return {};  // no /dev/null is no lack of descriptors
}

}  // namespace

Status room_for(unsigned threads, unsigned descriptors) {
  if (auto there = descriptors_to_have(descriptors); !there) return there;
  return threads_to_have(threads);
}

Error no_threads(int cause, const ControlGroups& groups) {
  std::vector<std::string> limits;
  if (const auto most = limit_of(RLIMIT_NPROC))
    limits.push_back("RLIMIT_NPROC: this user may have " + std::to_string(*most) + " processes and threads");
  if (const auto most = task_limit(groups))
    limits.push_back(most->file + ": " + std::to_string(most->value) + " for this control group");
  for (auto& limit : memory_limits(groups)) limits.push_back(std::move(limit));
  return {"process.no-threads",
          std::string("no thread can be made: ") + std::strerror(cause) +
              in_parentheses(limits, "no limit of this process; sysctl kernel.threads-max and kernel.pid_max"),
          kUntouched,
          "end other programs of this user (ps -LfU \"$USER\"), or raise the limit (ulimit -u, LimitNPROC and "
          "TasksMax of the unit)"};
}

Error no_descriptors(int cause) {
  std::vector<std::string> limits;
  if (const auto most = limit_of(RLIMIT_NOFILE); most && cause == EMFILE)
    limits.push_back("RLIMIT_NOFILE: this program may have " + std::to_string(*most));
  return {"process.no-descriptors",
          std::string("no file can be opened: ") + std::strerror(cause) +
              in_parentheses(limits, "the limit of the whole machine, sysctl fs.file-max"),
          kUntouched, "raise the limit of open files (ulimit -n, LimitNOFILE of the unit)"};
}

Error no_memory(const ControlGroups& groups) {
  return {"process.no-memory",
          "there is no memory" + in_parentheses(memory_limits(groups), "no limit of this process; the machine's"),
          kUntouched,
          "raise the limit (ulimit -v, MemoryMax of the unit, --mem of the job), or free memory on this machine"};
}

std::string remedy_for_write(int cause, const std::string& otherwise) {
  return cause == EFBIG ? "raise the limit of file size of whoever starts it (ulimit -f, LimitFSIZE)" : otherwise;
}

Fatal unexpected(const std::exception& failure) {
  std::error_code gone;
  static_cast<void>(std::filesystem::current_path(gone));
  if (gone && dynamic_cast<const std::filesystem::filesystem_error*>(&failure) != nullptr) {
    return {{"process.no-folder", "the folder in which this program was started is gone: " + gone.message(), kUntouched,
             "cd to a folder that is there"},
            kExitUnavailable};
  }
  if (const auto* system = dynamic_cast<const std::system_error*>(&failure)) {
    const int cause = system->code().value();
    if (cause == EAGAIN) return {no_threads(cause), kExitSystem};
    if (cause == EMFILE || cause == ENFILE) return {no_descriptors(cause), kExitSystem};
  }
  if (dynamic_cast<const std::bad_alloc*>(&failure) != nullptr) return {no_memory(), kExitSystem};
  return {{"internal", std::string("unexpected failure: ") + failure.what(), kUntouched,
           "start it again; send this line and the log to the authors if it comes back"},
          kExitSoftware};
}

}  // namespace peaknet
