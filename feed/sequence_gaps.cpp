#include "feed/sequence_gaps.hpp"

#include <algorithm>
#include <charconv>

namespace peaknet::feed {
namespace {
constexpr std::uint64_t kLargestJump = std::uint64_t{1} << 32;  // more is no count any more
}

std::uint64_t SequenceGaps::Source::missing(std::size_t without) const {
  if (unclear) return 0;
  std::uint64_t sum = holes;
  for (std::size_t i = without; i < numbers; ++i) sum += seen[i] ? 0 : 1;
  return sum;
}

void SequenceGaps::Source::add(std::uint64_t number) {
  if (numbers == 0) {
    seen.set(0);
    numbers = 1;
    next = number + 1;
    return;
  }
  if (number < next) {
    const std::uint64_t back = next - 1 - number;
    if (back >= kWindow || seen[back]) {
      unclear = true;
      return;
    }
    numbers = std::max(numbers, back + 1);
    seen.set(back);
    return;
  }
  const std::uint64_t by = number + 1 - next;
  if (by > kLargestJump) {
    unclear = true;
    return;
  }
  // What leaves the window, and what never was in it, if the jump is larger than that.
  const std::uint64_t used = numbers + by;
  if (used > kWindow) {
    const std::uint64_t leave = std::min<std::uint64_t>(numbers, used - kWindow);
    for (std::uint64_t i = numbers - leave; i < numbers; ++i) holes += seen[i] ? 0 : 1;
    holes += by > kWindow ? by - kWindow : 0;
  }
  seen = by >= kWindow ? std::bitset<kWindow>() : seen << by;
  seen.set(0);
  numbers = std::min<std::uint64_t>(kWindow, used);
  next = number + 1;
}

void SequenceGaps::saw(const std::string& source, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const bool fresh = !sources_.contains(source);
  if (fresh && sources_.size() == kMostSources) {
    const auto oldest = sources_.begin();
    gone_.missing += oldest->second.missing(0);
    gone_.unclear += oldest->second.unclear ? 1 : 0;
    sources_.erase(oldest);
  }
  sources_[source].add(number);
}

SequenceGaps::Known SequenceGaps::known(std::size_t without) const {
  const std::lock_guard lock(mutex_);
  Known sum = gone_;
  for (const auto& [name, source] : sources_) {
    sum.missing += source.missing(without);
    sum.unclear += source.unclear ? 1 : 0;
  }
  return sum;
}

bool numbered_name(const std::string& path, std::string& source, std::uint64_t& number) {
  const std::size_t dot = path.rfind('.'), slash = path.rfind('/');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash)) return false;
  const std::string stem = path.substr(0, dot);
  const std::size_t bar = stem.rfind('_');
  if (bar == std::string::npos || bar == 0) return false;
  const auto all_digits = [](const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  const std::string before = stem.substr(0, bar), digits = stem.substr(bar + 1);
  const std::size_t r = before.rfind('r');
  if (!all_digits(digits) || r == std::string::npos || !all_digits(before.substr(r + 1))) return false;
  if (r > 0 && before[r - 1] != '_' && before[r - 1] != '/') return false;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  source = before;
  return error == std::errc{} && end == digits.data() + digits.size();
}

}  // namespace peaknet::feed
