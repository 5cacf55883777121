#include "ctl/top.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/stop_signal.hpp"
#include "control/documents.hpp"
#include "ctl/page.hpp"
#include "ctl/render.hpp"
#include "ctl/show.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// The terminal as `top` needs it, and as it was again afterwards.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out), known_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (known_) ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    out_ << "\x1b[?1049h\x1b[?25l" << std::flush;  // another screen, no cursor
  }
  ~Screen() {
    out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
    if (known_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void draw(const std::string& picture) { out_ << "\x1b[H" << picture << "\x1b[J" << std::flush; }

  static winsize size() {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0)
      window = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    return window;
  }

 private:
  std::ostream& out_;
  termios before_{};
  bool known_;
};

// Wait for a key or a signal; true: it is time to go.
bool asked_to_end(StopSignal& signals, std::chrono::milliseconds at_most) {
  std::array<pollfd, 2> watched{{{STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
  const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(at_most.count()));
  if (ready <= 0) return ready < 0 && errno != EINTR;
  if (watched[1].revents != 0) return signals.poll().has_value();
  char key = 0;
  const ssize_t size = ::read(STDIN_FILENO, &key, 1);
  return size <= 0 || key == 'q' || key == 'Q' || key == 3;
}

}  // namespace

std::string top_screen(const json& before, const json& now, double seconds, unsigned columns, unsigned rows,
                       bool colour) {
  std::istringstream lines(render_top(before, now, seconds));
  std::string out;
  unsigned row = 0;
  for (std::string line; row < rows && std::getline(lines, line); ++row) {
    if (line.size() > columns) line.resize(columns);
    out += (row == 0 ? "" : "\r\n") + (colour ? painted(line) : line) + "\x1b[K";
  }
  return out;
}

ExitCode top(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    return show_error({"top.no-terminal", "top draws on a terminal, and this is none", "nothing was shown",
                       "peaknetctl watch, which prints lines"},
                      options.json, out, err);
  }
  StopSignal signals;
  std::optional<Error> gone;
  {
    Screen screen(out);
    json before;
    Clock::time_point looked;
    do {
      const auto page = Page::open(instance);
      if (!page) {
        gone = page.error();
        break;
      }
      json now = control::stats_document(*page->directory, page->pool.get(), control::kSourcePage);
      now["status"] = control::status_document(*page->directory, page->pool.get(), control::kSourcePage);
      const auto at = Clock::now();
      const auto window = Screen::size();
      screen.draw(top_screen(before, now, std::chrono::duration<double>(at - looked).count(), window.ws_col,
                             window.ws_row, options.colour));
      before = std::move(now);
      looked = at;
    } while (!asked_to_end(signals, options.every));
  }
  return gone ? show_error(*gone, options.json, out, err) : ExitCode::ok;
}

}  // namespace peaknet::ctl
