// HttpServer: GET and HEAD on this machine alone, for the exporter and the live page. It listens on loopback only, and
// nothing that it serves changes anything. Requests whose Host is no name of this machine are refused, so that a page
// from elsewhere cannot read through a browser (DNS rebinding).
//
// Boost.Beast reads and writes the protocol; one thread serves all. A connection is one request: two seconds for its
// head, ten for its answer, whatever comes in between. So a peer that is slow, or says nothing, costs the others
// nothing; where there are more than kMostConnections, the one that has been at its head longest has to go. A stream
// (server-sent events) stays open: it gets each pushed event, but not the next one before it has taken the last, and
// ends when it has not taken one for ten seconds.
//
// Not cpp-httplib (0.11 in Debian 12): it has a thread for each connection and a deadline for each read, so that peers
// that send a byte a second would keep its threads, and each page that is open one. Beast comes with the Boost headers
// that are used already.
//
// Threads: serve() in the caller's; push() from any. Errors: http.not-loopback, http.cannot-listen; what is wrong with
// one connection ends that one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/stop_signal.hpp"

namespace peaknet::ctl {

struct HttpRequest {
  std::string path;  // without the query
  std::string query;
  std::string authorization;  // the header's value
};

struct HttpResponse {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::shared_ptr<const std::string> body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool stream = false;  // `body` is what a stream begins with; pushed events follow

  static HttpResponse of(int status, std::string type, std::string body) {
    return {status, std::move(type), std::make_shared<const std::string>(std::move(body)), {}, false};
  }
};

// Called in the server's thread: it answers from what is there, and waits for nothing.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

class HttpServer {
 public:
  static constexpr std::size_t kMostConnections = 256;
  static constexpr std::size_t kMostStreams = 128;

  // "127.0.0.1:9290" or "[::1]:9290"; port 0: one that is free. `head`: as long a request's head may take.
  static Result<HttpServer> listen(const std::string& address,
                                   std::chrono::milliseconds head = std::chrono::seconds(2));
  HttpServer(HttpServer&& other) noexcept;
  HttpServer& operator=(HttpServer&& other) noexcept;
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  std::uint16_t port() const;
  // Until a signal comes; connections that are open then are dropped.
  void serve(StopSignal& signals, const HttpHandler& handler);
  // To every stream that has taken what it got before; the others miss it.
  void push(std::shared_ptr<const std::string> event);

 private:
  class Hub;
  class Session;
  explicit HttpServer(std::unique_ptr<Hub> hub);
  std::unique_ptr<Hub> hub_;
};

}  // namespace peaknet::ctl
