#include "ctl/service_unit.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <sstream>

#include "base/text.hpp"
#include "ctl/command_lines.hpp"

namespace peaknet::ctl {
namespace {

namespace fs = std::filesystem;

constexpr int kRefused = 255;  // no errno: the child could not become that user

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Both without a slash at their ends.
bool is_below(const fs::path& path, const fs::path& folder) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

bool is_below_any(const fs::path& path, const std::vector<fs::path>& folders) {
  return std::any_of(folders.begin(), folders.end(), [&](const fs::path& folder) { return is_below(path, folder); });
}

bool is_temporary(const fs::path& path) { return is_below(path, "/tmp") || is_below(path, "/var/tmp"); }

std::optional<ServiceUnit> service(const std::string& program, const fs::path& file) {
  const std::string instance = file.stem().string();
  if (!is_plain_name(instance, 128)) return std::nullopt;  // no name of a unit, and none for a shell
  const std::string name = program + "@" + instance + ".service";
  const auto lines = lines_of(
      "systemctl show -p LoadState,ExecStart,User,Group,SupplementaryGroups,StateDirectory,ReadWritePaths,"
      "ProtectSystem,PrivateTmp " +
      name);
  return lines ? parse_service(name, *lines, file.string()) : std::nullopt;
}

}  // namespace

bool ServiceUnit::may_write(const fs::path& path) const {
  if (!writes_there_alone || (tmp_of_its_own && is_temporary(path))) return true;
  return makes(path) || is_below_any(path, writable);
}

bool ServiceUnit::makes(const fs::path& path) const { return is_below_any(path, made); }

bool ServiceUnit::hides(const fs::path& path) const { return tmp_of_its_own && is_temporary(path); }

std::optional<Rights> ServiceUnit::rights() const {
  const passwd* account = user.empty() ? ::getpwuid(0) : ::getpwnam(user.c_str());
  if (account == nullptr) return std::nullopt;
  Rights found{account->pw_uid, account->pw_gid, {}};
  const std::string account_name = account->pw_name;
  if (!group.empty()) {
    const struct group* entry = ::getgrnam(group.c_str());
    if (entry == nullptr) return std::nullopt;
    found.gid = entry->gr_gid;
  }
  int count = 64;
  found.groups.resize(static_cast<std::size_t>(count));
  if (::getgrouplist(account_name.c_str(), found.gid, found.groups.data(), &count) < 0) {
    found.groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(account_name.c_str(), found.gid, found.groups.data(), &count) < 0) return std::nullopt;
  }
  found.groups.resize(static_cast<std::size_t>(count));
  for (const std::string& more : more_groups) {
    const struct group* entry = ::getgrnam(more.c_str());
    if (entry == nullptr) return std::nullopt;
    found.groups.push_back(entry->gr_gid);
  }
  return found;
}

std::optional<ServiceUnit> parse_service(const std::string& name, const std::vector<std::string>& lines,
                                         const std::string& file) {
  std::map<std::string, std::string> said;
  for (const std::string& line : lines) {
    if (const auto equals = line.find('='); equals != std::string::npos)
      said[line.substr(0, equals)] = line.substr(equals + 1);
  }
  const auto arguments = words_of(said["ExecStart"]);
  if (said["LoadState"] != "loaded" || std::find(arguments.begin(), arguments.end(), file) == arguments.end())
    return std::nullopt;
  ServiceUnit unit{name, said["User"], said["Group"], words_of(said["SupplementaryGroups"]), {}, {}, false, false};
  for (const std::string& folder : words_of(said["StateDirectory"])) unit.made.push_back(fs::path("/var/lib") / folder);
  for (std::string folder : words_of(said["ReadWritePaths"])) {
    folder.erase(0, folder.find_first_not_of("-+"));
    while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
    unit.writable.emplace_back(folder);
  }
  unit.writes_there_alone = said["ProtectSystem"] == "strict";
  unit.tmp_of_its_own = said["PrivateTmp"] == "yes";
  return unit;
}

ServiceUnits services_of(const std::string& file) {
  if (file.empty()) return {};
  std::error_code failed;
  const fs::path path = fs::absolute(file, failed).lexically_normal();
  if (failed) return {};
  return {service("peaknetd", path), service("peaknet-writer", path)};
}

std::optional<int> access_as(const Rights& rights, const fs::path& path, int mode) {
  const auto look = [&] { return ::access(path.c_str(), mode) == 0 ? 0 : errno; };
  if (::geteuid() == rights.uid && ::getuid() == rights.uid) return look();
  if (::geteuid() != 0) return std::nullopt;
  const pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  if (child == 0) {
    const bool became = ::setgroups(rights.groups.size(), rights.groups.data()) == 0 &&
                        ::setresgid(rights.gid, rights.gid, rights.gid) == 0 &&
                        ::setresuid(rights.uid, rights.uid, rights.uid) == 0;
    ::_exit(became ? look() : kRefused);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) == kRefused) return std::nullopt;
  return WEXITSTATUS(status);
}

}  // namespace peaknet::ctl
