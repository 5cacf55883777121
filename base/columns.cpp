#include "base/columns.hpp"

#include <locale.h>
#include <clocale>
#include <cwchar>
#include <vector>

namespace peaknet {
namespace {

// The C library knows how wide characters are, in a locale that knows them; the program's own may be "C".
class Utf8Locale {
 public:
  Utf8Locale() : before_(::uselocale(of_process())) {}
  ~Utf8Locale() { ::uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t of_process() {
    static const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return utf8;  // 0 where there is none: uselocale then leaves all as it is
  }
  locale_t before_;
};

bool turns_direction(wchar_t c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f;
}

struct Character {
  std::string bytes;
  std::size_t columns = 1;
};

std::vector<Character> characters(std::string_view text) {
  const Utf8Locale utf8;
  std::vector<Character> all;
  std::mbstate_t state{};
  for (std::size_t at = 0; at < text.size();) {
    wchar_t c = 0;
    const std::size_t size = std::mbrtowc(&c, text.data() + at, text.size() - at, &state);
    if (size == 0 || size > text.size() - at) {  // a zero byte, a byte that begins nothing, or a character cut short
      all.push_back({"?", 1});
      state = {};
      ++at;
      continue;
    }
    const int width = turns_direction(c) ? -1 : ::wcwidth(c);
    all.push_back(width < 0 ? Character{"?", 1}
                            : Character{std::string(text.substr(at, size)), static_cast<std::size_t>(width)});
    at += size;
  }
  return all;
}

std::size_t sum(const std::vector<Character>& all) {
  std::size_t columns = 0;
  for (const Character& one : all) columns += one.columns;
  return columns;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (const Character& one : characters(text)) out += one.bytes;
  return out;
}

std::size_t columns_of(std::string_view text) { return sum(characters(text)); }

std::string clipped(std::string_view text, std::size_t columns) {
  std::string out;
  std::size_t used = 0;
  for (const Character& one : characters(text)) {
    if (used + one.columns > columns) break;
    used += one.columns;
    out += one.bytes;
  }
  return out;
}

std::string shortened(std::string_view text, std::size_t columns) {
  constexpr std::string_view kGap = "..";
  const auto all = characters(text);
  if (sum(all) <= columns) return printable(text);
  if (columns <= kGap.size() + 2) return clipped(text, columns);
  const std::size_t room = columns - kGap.size(), head = room / 2;
  std::string begin, end;
  std::size_t used = 0, at = 0;
  for (; at < all.size() && used + all[at].columns <= head; ++at) {
    begin += all[at].bytes;
    used += all[at].columns;
  }
  std::size_t last = all.size(), tail = 0;
  for (; last > at && used + tail + all[last - 1].columns <= room; --last) tail += all[last - 1].columns;
  for (; last < all.size(); ++last) end += all[last].bytes;
  return begin + std::string(kGap) + end;
}

std::string padded(std::string_view text, std::size_t columns) {
  const std::size_t used = columns_of(text);
  return std::string(text) + std::string(used < columns ? columns - used : 0, ' ');
}

std::string padded_left(std::string_view text, std::size_t columns) {
  const std::size_t used = columns_of(text);
  return std::string(used < columns ? columns - used : 0, ' ') + std::string(text);
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent, std::size_t used) {
  std::string out;
  std::size_t at = 0;
  bool fresh = true;  // nothing of the text stands in this line yet
  while (at < text.size()) {
    if (text[at] == '\n') {
      out += '\n' + std::string(indent, ' ');
      used = indent;
      fresh = true;
      ++at;
      continue;
    }
    const std::size_t begin = std::min(text.find_first_not_of(' ', at), text.size());
    const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    const std::size_t gap = begin - at, width = columns_of(word);
    at = end;
    if (word.empty()) continue;
    const bool keeps_gap = !fresh || out.empty();  // blanks at the very beginning are an indent
    if (used + (keeps_gap ? gap : 0) + width > columns && (!fresh || used > indent)) {
      out.erase(out.find_last_not_of(' ') + 1);
      out += '\n' + std::string(indent, ' ');
      used = indent;
      fresh = true;
    }
    if (!fresh || out.empty()) {
      out.append(gap, ' ');
      used += gap;
    }
    out += word;
    used += width;
    fresh = false;
  }
  return out;
}

std::string ascii(std::string_view text) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    for (const Character& one : characters(text.substr(at, end - at)))
      out += one.bytes.size() == 1 ? one.bytes : std::string(one.columns, '?');
    if (end < text.size()) out += '\n';
    at = end + 1;
  }
  return out;
}

}  // namespace peaknet
