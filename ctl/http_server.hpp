// HttpServer: GET and HEAD on this machine alone, for readers that show or scrape. It has no password, so it listens on
// 127.0.0.1 only, and nothing that it serves changes anything.
//
// HTTP/1.0, one request per connection. Many connections at once, each with two seconds from its begin to its end, so
// that one that is slow, or says nothing, costs the others nothing; more than kMostConnections wait.
//
// Threads: the caller's. Errors: exporter.not-loopback, exporter.cannot-listen; what is wrong with one connection ends
// that one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "base/stop_signal.hpp"

namespace peaknet::ctl {

struct HttpResponse {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

// Of a path, without the query.
using HttpHandler = std::function<HttpResponse(const std::string& path)>;

class HttpServer {
 public:
  static constexpr std::size_t kMostConnections = 64;

  // "127.0.0.1:9290"; port 0: one that is free.
  static Result<HttpServer> listen(const std::string& address);
  HttpServer(HttpServer&& other) noexcept;
  HttpServer& operator=(HttpServer&& other) noexcept;
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  std::uint16_t port() const { return port_; }
  // Until a signal comes; connections that are open then are dropped.
  void serve(StopSignal& signals, const HttpHandler& handler) const;

 private:
  HttpServer(int listener, std::uint16_t port) : listener_(listener), port_(port) {}
  int listener_ = -1;
  std::uint16_t port_ = 0;
};

// The whole answer to a request's head.
std::string http_answer(const std::string& request, const HttpHandler& handler);

}  // namespace peaknet::ctl
