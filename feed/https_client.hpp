// HttpsClient: one request to a service on the web, and its whole answer or the reason why there is none.
//
// Boost.Beast over OpenSSL, as the servers of peaknetctl are Beast; not libcurl, which would load thirty libraries into
// a program that is started for each stream (Kerberos, LDAP, HTTP/2). What that leaves out: proxies. TLS 1.2 or later,
// the certificate against the system's authorities (or a file of the site's own) and the host's name. http:// is spoken
// to this machine alone: a token must not travel in clear text.
//
// Threads: a call works in the thread that makes it. Every call ends: with the answer, after `patience`, or when it is
// asked to stop. Errors: request.url, request.tls, request.unreachable (nothing is known of what the service did).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.hpp"

namespace peaknet::feed {

struct HttpReply {
  unsigned status = 0;
  std::string body;
};

struct HttpCall {
  std::string method;  // GET, POST, DELETE
  std::string path;    // below the service's own
  std::string token;   // empty: none is shown
  std::string body;    // JSON; empty: none
};

class HttpsClient {
 public:
  static constexpr std::uint64_t kLargestReply = 1 << 20;

  // `url`: https://HOST[:PORT][/PATH]. `authorities`: a PEM file; empty: those of the system.
  static Result<HttpsClient> open(const std::string& url, const std::string& authorities);
  HttpsClient(HttpsClient&&) noexcept;
  HttpsClient& operator=(HttpsClient&&) noexcept;
  ~HttpsClient();

  Result<HttpReply> call(const HttpCall& call, std::chrono::milliseconds patience, const std::stop_token& stop) const;

 private:
  struct Service;
  explicit HttpsClient(std::unique_ptr<Service> service);
  std::unique_ptr<Service> service_;
};

}  // namespace peaknet::feed
