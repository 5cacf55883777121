#include "base/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/text.hpp"

namespace peaknet {
namespace {

constexpr unsigned kNarrowest = 20, kWidest = 1000;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view(value);
}

unsigned columns_variable() {
  const auto columns = number_in<unsigned>(variable("COLUMNS"));
  return columns && *columns >= kNarrowest && *columns <= kWidest ? *columns : 80;
}

// By the name alone: the locale that ssh brought along may not be installed here, and the terminal is what it is.
bool is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view locale = variable(name);
    if (locale.empty()) continue;
    const std::string_view set = locale.substr(std::min(locale.find('.'), locale.size() - 1) + 1);
    return set.starts_with("UTF-8") || set.starts_with("utf8") || set.starts_with("UTF8") || set.starts_with("utf-8");
  }
  return false;
}

}  // namespace

Terminal Terminal::of(int descriptor) {
  Terminal terminal;
  terminal.columns = columns_variable();
  terminal.there = ::isatty(descriptor) != 0;
  if (!terminal.there) return terminal;
  const std::string_view kind = variable("TERM");
  terminal.moves = !kind.empty() && kind != "dumb";
  terminal.colour = terminal.moves && variable("NO_COLOR").empty();
  terminal.utf8 = is_utf8();
  winsize window{};
  if (::ioctl(descriptor, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && window.ws_row > 0) {
    terminal.columns = window.ws_col;
    terminal.rows = window.ws_row;
  }
  return terminal;
}

}  // namespace peaknet
