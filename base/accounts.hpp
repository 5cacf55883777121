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

}  // namespace peaknet
