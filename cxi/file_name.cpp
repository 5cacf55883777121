#include "cxi/file_name.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ctime>
#include <tuple>

namespace peaknet::writer {
namespace {

constexpr auto kAny = std::string_view::npos;
constexpr std::size_t kTimeLength = 22;

std::string padded(std::uint64_t value, std::size_t width) {
  std::string digits = std::to_string(value);
  return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
}

// Takes a name apart from its end: each part is what the one before it left.
class FromEnd {
 public:
  explicit FromEnd(std::string_view name) : rest_(name) {}

  bool text(std::string_view wanted) {
    if (!rest_.ends_with(wanted)) return false;
    rest_.remove_suffix(wanted.size());
    return true;
  }
  bool digits(std::size_t least, std::size_t most = kAny) {
    std::size_t count = 0;
    while (count < std::min(most, rest_.size()) &&
           std::isdigit(static_cast<unsigned char>(rest_[rest_.size() - count - 1])) != 0)
      ++count;
    digits_ = rest_.substr(rest_.size() - count);
    rest_.remove_suffix(count);
    return count >= least;
  }
  bool number(std::size_t least, std::uint64_t& value) {
    if (!digits(least)) return false;
    const char* const end = digits_.data() + digits_.size();
    const auto read = std::from_chars(digits_.data(), end, value);
    return read.ec == std::errc() && read.ptr == end;
  }
  bool time(std::string& value) {
    const std::string_view whole = rest_;
    if (!(digits(6, 6) && text("_") && digits(6, 6) && text("_") && digits(8, 8))) return false;
    value = whole.substr(rest_.size());
    return true;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  std::string_view digits_;
};

bool take_parts(FromEnd& from, FileName& name) {
  return from.text(".cxi") && from.number(1, name.writer) && from.text("_w") && from.time(name.time) &&
         from.text("_") && from.number(4, name.chunk) && from.text("_chunk");
}

bool take_parts_of_before(FromEnd& from, FileName& name) {
  return from.text(".cxi") && from.number(4, name.chunk) && from.text("_chunk") && from.number(1, name.writer) &&
         from.text("_w") && from.time(name.time) && from.text("_");
}

}  // namespace

std::string FileName::text() const {
  return stem + "_chunk" + padded(chunk, 4) + "_" + time + "_w" + std::to_string(writer) + ".cxi";
}

std::optional<FileName> parse_file_name(std::string_view name) {
  for (const auto take : {take_parts, take_parts_of_before}) {
    FileName found;
    FromEnd from(name);
    if (!take(from, found)) continue;
    const auto run = from.rest().find("_run", 1);
    if (run == kAny || run + 4 == from.rest().size()) return std::nullopt;
    found.stem = from.rest();
    return found;
  }
  return std::nullopt;
}

bool EarlierFile::operator()(const std::string& a, const std::string& b) const {
  const FileName first = parse_file_name(a).value_or(FileName{});
  const FileName second = parse_file_name(b).value_or(FileName{});
  return std::tie(first.time, first.writer, first.chunk, a) < std::tie(second.time, second.writer, second.chunk, b);
}

std::string file_time(std::int64_t realtime_ns) {
  const std::time_t seconds = realtime_ns / 1'000'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, kTimeLength + 1> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y%m%d_%H%M%S_", &utc);
  return std::string(text.data(), size) + padded(static_cast<std::uint64_t>(realtime_ns % 1'000'000'000 / 1000), 6);
}

}  // namespace peaknet::writer
