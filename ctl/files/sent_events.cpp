#include "ctl/files/sent_events.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <string_view>

#include "base/special_file.hpp"
#include "base/text.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::writer {
namespace {

std::string_view without_remark(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

Status read_ledger_into(const std::filesystem::path& path, std::vector<std::uint64_t>& numbers) {
  if (is_special_file(path.string())) return Error{"audit.ledger", path.string() + ": " + kSpecialFile, "", ""};
  std::ifstream ledger(path);
  if (!ledger) return disk_error("open", path, errno);
  std::uint64_t at = 0;
  for (std::string line; std::getline(ledger, line);) {
    ++at;
    const std::string_view text = without_remark(line);
    if (text.empty()) continue;
    const auto number = number_in<std::uint64_t>(text);
    if (!number) {
      return Error{"audit.ledger",
                   "line " + std::to_string(at) + " of " + path.string() + " is '" + std::string(text.substr(0, 40)) +
                       "', not the number of an event",
                   "nothing was audited", "a ledger has one number of 64 bits in a line (docs/writer.md)"};
    }
    numbers.push_back(*number);
  }
  if (ledger.bad()) return disk_error("read", path, errno);
  return {};
}

}  // namespace

Result<SentEvents> read_sent_events(const std::vector<std::filesystem::path>& ledgers, SentBy by) {
  SentEvents sent{by, {}};
  for (const auto& path : ledgers) {
    if (auto read = read_ledger_into(path, sent.numbers); !read) return read.error();
  }
  if (sent.numbers.empty()) {
    return Error{"audit.ledger", "the ledgers of the senders name no event", "nothing was audited",
                 "name files with the number of an event in each line (docs/writer.md)"};
  }
  std::sort(sent.numbers.begin(), sent.numbers.end());
  sent.numbers.erase(std::unique(sent.numbers.begin(), sent.numbers.end()), sent.numbers.end());
  return sent;
}

SentAudit compare(const SentEvents& sent, std::vector<std::uint64_t> found) {
  std::sort(found.begin(), found.end());
  SentAudit audit;
  audit.sent = sent.numbers.size();
  auto row = found.cbegin();
  const auto skip_to = [&](std::uint64_t number) {
    for (; row != found.cend() && *row < number; ++row) ++audit.not_in_ledgers;
  };
  for (const std::uint64_t number : sent.numbers) {
    skip_to(number);
    std::uint64_t times = 0;
    for (; row != found.cend() && *row == number; ++row) ++times;
    if (times == 0) audit.in_none.push_back(number);
    if (times == 1) ++audit.in_one_file;
    if (times > 1) audit.in_several.push_back(number);
  }
  audit.not_in_ledgers += static_cast<std::uint64_t>(found.cend() - row);
  return audit;
}

}  // namespace peaknet::writer
