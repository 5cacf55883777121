#include "base/accounts.hpp"

#include <grp.h>
#include <pwd.h>

#include <regex>
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

std::string with_user_names(const std::string& text) {
  static const std::regex kUser(R"(\buid (\d{1,9})\b(?! \())");
  std::string out;
  auto rest = text.cbegin();
  for (std::sregex_iterator found(text.begin(), text.end(), kUser), end; found != end; ++found) {
    out.append(rest, (*found)[0].second);
    if (const auto name = user_name(static_cast<uid_t>(std::stoul((*found)[1])))) out += " (" + *name + ")";
    rest = (*found)[0].second;
  }
  return out.append(rest, text.cend());
}

}  // namespace peaknet
