#include "ctl/screen.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ostream>

namespace peaknet::ctl {

Screen::Screen(std::ostream& out) : out_(out), known_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
  sigset_t concerned;
  ::sigemptyset(&concerned);
  ::sigaddset(&concerned, SIGWINCH);
  ::sigaddset(&concerned, SIGTSTP);
  ::pthread_sigmask(SIG_BLOCK, &concerned, &mask_before_);
  // -1, as poll ignores it: looks come by time alone
  signals_ = ::signalfd(-1, &concerned, SFD_CLOEXEC | SFD_NONBLOCK);
  enter();
}

Screen::~Screen() {
  leave();
  if (signals_ >= 0) ::close(signals_);
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void Screen::enter() {
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (known_) ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  out_ << "\x1b[?1049h\x1b[?25l" << std::flush;  // another screen, no cursor
}

void Screen::leave() {
  out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
  if (known_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void Screen::draw(const std::string& picture) { out_ << "\x1b[H" << picture << "\x1b[J" << std::flush; }

Screen::Event Screen::wait(std::chrono::milliseconds at_most, std::string& key) {
  std::array<pollfd, 3> watched{{{STDIN_FILENO, POLLIN, 0}, {stop_.fd(), POLLIN, 0}, {signals_, POLLIN, 0}}};
  const int ready = ::poll(watched.data(), watched.size(), typed_.empty() ? static_cast<int>(at_most.count()) : 0);
  if (ready < 0) return errno == EINTR ? Event::time : Event::end;
  if (watched[1].revents != 0) return stop_.poll() ? Event::end : Event::time;
  if (watched[2].revents != 0) return take_signal();
  if (watched[0].revents != 0) {
    std::array<char, 64> bytes{};
    const ssize_t size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (size <= 0) return Event::end;
    typed_.append(bytes.data(), static_cast<std::size_t>(size));
  }
  if (typed_.empty()) return Event::time;
  key = take_key(typed_);
  return Event::key;
}

std::string take_key(std::string& typed) {
  std::size_t size = 1;
  if (typed.starts_with("\x1bO")) {
    size = 3;
  } else if (typed.starts_with("\x1b[")) {
    const auto is_final = [](char byte) { return byte >= '@' && byte <= '~'; };
    size = static_cast<std::size_t>(std::find_if(typed.begin() + 2, typed.end(), is_final) - typed.begin()) + 1;
  }
  std::string key = typed.substr(0, size);
  typed.erase(0, size);
  return key;
}

Screen::Event Screen::take_signal() {
  signalfd_siginfo signal{};
  if (::read(signals_, &signal, sizeof signal) != sizeof signal) return Event::time;
  if (signal.ssi_signo == SIGTSTP) {
    leave();
    ::kill(::getpid(), SIGSTOP);  // goes on at SIGCONT
    enter();
  }
  return Event::window;
}

}  // namespace peaknet::ctl
