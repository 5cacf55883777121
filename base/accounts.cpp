#include "base/accounts.hpp"

#include <grp.h>
#include <pwd.h>

#include <vector>

namespace peaknet {
namespace {

constexpr std::size_t kEntryBytes = std::size_t{64} << 10;  // a group with thousands of members

}  // namespace

std::optional<std::string> user_name(uid_t user) {
  std::vector<char> space(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, space.data(), space.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return found->pw_name;
}

std::optional<std::string> group_name(gid_t group) {
  std::vector<char> space(kEntryBytes);
  ::group entry{};
  ::group* found = nullptr;
  if (::getgrgid_r(group, &entry, space.data(), space.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return found->gr_name;
}

}  // namespace peaknet
