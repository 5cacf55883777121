#include "ctl/exporter.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ostream>

#include "base/stop_signal.hpp"
#include "control/metrics.hpp"
#include "ctl/page.hpp"
#include "ctl/show.hpp"

namespace peaknet::ctl {
namespace {

constexpr timeval kPatience{2, 0};

// "127.0.0.1:9290"
Result<sockaddr_in> parse_address(const std::string& text) {
  const Error wrong{"exporter.not-loopback", "'" + text + "' is no address 127.0.0.1:PORT: metrics have no password",
                    "nothing was opened",
                    "127.0.0.1:9290; for another machine use node_exporter or a proxy with a password"};
  const std::string loopback = "127.0.0.1:";
  std::uint16_t port = 0;
  if (!text.starts_with(loopback)) return wrong;
  const auto [end, failed] = std::from_chars(text.data() + loopback.size(), text.data() + text.size(), port);
  if (failed != std::errc{} || end != text.data() + text.size()) return wrong;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::string metrics_of(const std::string& instance) {
  const auto page = Page::open(instance);
  return page ? control::metrics_text(*page->directory, page->pool.get()) : "";
}

void serve_one(int peer, const std::string& instance) {
  ::setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  std::string request;
  std::array<char, 2048> bytes{};
  while (request.size() < 8192 && request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t size = ::recv(peer, bytes.data(), bytes.size(), 0);
    if (size <= 0) break;
    request.append(bytes.data(), static_cast<std::size_t>(size));
  }
  const std::string answer = http_answer(request, metrics_of(instance));
  for (std::size_t sent = 0; sent < answer.size();) {
    const ssize_t size = ::send(peer, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) break;
    sent += static_cast<std::size_t>(size);
  }
}

ExitCode listen(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  const auto address = parse_address(options.listen);
  if (!address) return show_error(address.error(), options.json, out, err);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int again = 1;
  sockaddr_in bound = *address;
  socklen_t size = sizeof bound;
  if (listener < 0 || ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &again, sizeof again) != 0 ||
      ::bind(listener, reinterpret_cast<const sockaddr*>(&bound), sizeof bound) != 0 || ::listen(listener, 16) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    const Error why{"exporter.cannot-listen", "cannot listen at " + options.listen + ": " + std::strerror(errno),
                    "nothing was opened", "choose another port"};
    if (listener >= 0) ::close(listener);
    return show_error(why, options.json, out, err);
  }
  StopSignal signals;
  out << "http://127.0.0.1:" << ntohs(bound.sin_port) << "/metrics" << std::endl;
  std::array<pollfd, 2> watched{{{listener, POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
  while (::poll(watched.data(), watched.size(), -1) >= 0 || errno == EINTR) {
    if (watched[1].revents != 0) break;
    if (const int peer = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); peer >= 0) {
      serve_one(peer, instance);
      ::close(peer);
    }
  }
  ::close(listener);
  return ExitCode::ok;
}

}  // namespace

std::string http_answer(const std::string& request, const std::string& metrics) {
  const auto answer = [](const std::string& status, const std::string& type, const std::string& body) {
    return "HTTP/1.0 " + status + "\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
  };
  const std::string text = "text/plain; charset=utf-8";
  if (!request.starts_with("GET ")) return answer("405 Method Not Allowed", text, "GET /metrics\n");
  const std::string target = request.substr(4, request.find_first_of(" \r\n", 4) - 4);
  if (target != "/metrics") return answer("404 Not Found", text, "GET /metrics\n");
  if (metrics.empty())
    return answer("503 Service Unavailable", text, "the instance has no shared memory on this machine\n");
  return answer("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics);
}

Status write_textfile(const std::string& file, const std::string& text) {
  const std::string part = file + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) ::close(fd);
  if (written && std::rename(part.c_str(), file.c_str()) == 0) return {};
  const std::string cause = std::strerror(errno);
  if (fd >= 0) ::unlink(part.c_str());
  return Error{"exporter.cannot-write", "cannot write " + file + ": " + cause, "the file that was there is as it was",
               "check the folder: room, and who may write there"};
}

ExitCode exporter(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  if (!options.listen.empty()) return listen(options, instance, out, err);
  StopSignal signals;
  for (;;) {
    const auto page = Page::open(instance);
    if (!page) return show_error(page.error(), options.json, out, err);
    if (auto written = write_textfile(options.textfile, control::metrics_text(*page->directory, page->pool.get()));
        !written)
      return show_error(written.error(), options.json, out, err);
    if (!options.repeat || signals.wait(options.every)) return ExitCode::ok;
  }
}

}  // namespace peaknet::ctl
