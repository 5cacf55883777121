// Accounts: the names of users and groups, for messages that say whose something is.
//
// Threads: any. Errors: none; a number that has no name here (a container, another machine's) is nullopt.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace peaknet {

std::optional<std::string> user_name(uid_t user);
std::optional<std::string> group_name(gid_t group);

// "asked by uid 1007 pid 5" as "asked by uid 1007 (jdoe) pid 5", for tools that show what a service noted: a service
// does not ask for names, since the name service may hang.
std::string with_user_names(const std::string& text);

}  // namespace peaknet
