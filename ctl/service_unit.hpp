// The systemd services of an instance, as doctor needs them: who they are and where they may write.
//
// Asks systemctl; starts nothing. Errors: none, what cannot be learned is absent.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace peaknet::ctl {

// What a process has, by which the kernel decides what it may open.
struct Rights {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

struct ServiceUnit {
  std::string name;                             // "peaknet-writer@mfx.service"
  std::string user, group;                      // "": root
  std::vector<std::string> more_groups;         // SupplementaryGroups=
  std::vector<std::filesystem::path> made;      // StateDirectory=: systemd makes them
  std::vector<std::filesystem::path> writable;  // ReadWritePaths=
  bool writes_there_alone = false;              // ProtectSystem=strict
  bool tmp_of_its_own = false;                  // PrivateTmp=

  bool may_write(const std::filesystem::path& path) const;
  bool makes(const std::filesystem::path& path) const;
  // Its /tmp is another one than everybody's, and goes with it.
  bool hides(const std::filesystem::path& path) const;
  // Absent: this machine does not know the user or a group.
  std::optional<Rights> rights() const;
};

// Those that read one configuration file; absent where there is no such unit or no systemd.
struct ServiceUnits {
  std::optional<ServiceUnit> daemon, writer;
};
ServiceUnits services_of(const std::string& file);

// From the lines KEY=VALUE of `systemctl show`. Absent: no such unit, or it reads another file than `file`.
std::optional<ServiceUnit> parse_service(const std::string& name, const std::vector<std::string>& lines,
                                         const std::string& file);

// The errno of access(path, mode) by a process with these rights (0: it may); absent: this process may not take them.
// A child process tries, so that this one keeps its own; no file is opened or made.
std::optional<int> access_as(const Rights& rights, const std::filesystem::path& path, int mode);

}  // namespace peaknet::ctl
