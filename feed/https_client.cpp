#include "feed/https_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <optional>
#include <utility>

namespace peaknet::feed {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Request = http::request<http::string_body>;

constexpr std::uint32_t kLongestHead = 16384;

struct Url {
  bool secure = true;
  std::string host;  // without the brackets of IPv6
  std::string port;
  std::string path;  // without the last /

  std::string authority() const {
    const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
    return port == (secure ? "443" : "80") ? name : name + ":" + port;
  }
};

std::optional<Url> parse_url(const std::string& text) {
  Url url;
  const std::size_t scheme = text.find("://");
  if (scheme == std::string::npos) return std::nullopt;
  const std::string name = text.substr(0, scheme);
  if (name != "https" && name != "http") return std::nullopt;
  url.secure = name == "https";
  const std::size_t begin = scheme + 3;
  const std::size_t slash = text.find('/', begin);
  std::string authority = text.substr(begin, slash == std::string::npos ? slash : slash - begin);
  if (slash != std::string::npos) url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (text.find_first_of("?#@ \t\r\n\"<>\\") != std::string::npos) return std::nullopt;
  std::size_t colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string::npos) return std::nullopt;
    url.host = authority.substr(1, bracket - 1);
    colon = bracket + 1 < authority.size() ? bracket + 1 : std::string::npos;
    if (colon != std::string::npos && authority[colon] != ':') return std::nullopt;
  } else {
    url.host = authority.substr(0, colon);
  }
  url.port = colon == std::string::npos ? (url.secure ? "443" : "80") : authority.substr(colon + 1);
  const bool digits =
      !url.port.empty() && url.port.size() <= 5 && url.port.find_first_not_of("0123456789") == std::string::npos;
  if (url.host.empty() || !digits) return std::nullopt;
  return url;
}

bool is_this_machine(const std::string& host) { return host == "127.0.0.1" || host == "::1" || host == "localhost"; }

// One request and its answer: look the host up, connect, shake hands, send, receive. Each step begins the next; what
// fails ends it. No coroutines: clang 14 has none with Debian's Boost and libstdc++.
class Exchange {
 public:
  Exchange(asio::io_context& context, const Url& url, ssl::context* tls, const Request& request)
      : url_(url), request_(request), resolver_(context) {
    parser_.header_limit(kLongestHead);
    parser_.body_limit(HttpsClient::kLargestReply);
    if (tls == nullptr) {
      plain_.emplace(context);
      return;
    }
    secure_.emplace(context, *tls);
    SSL_set_tlsext_host_name(secure_->native_handle(), url.host.c_str());
    secure_->set_verify_callback(ssl::host_name_verification(url.host));
  }

  void start() {
    resolver_.async_resolve(url_.host, url_.port, [this](error_code failed, const tcp::resolver::results_type& found) {
      if (goes_on(failed)) connect(found);
    });
  }
  // After the context has run: the answer, or why there is none; neither where it was cut short.
  std::optional<HttpReply>& reply() { return reply_; }
  error_code failed() const { return failed_; }

 private:
  bool goes_on(error_code failed) {
    failed_ = failed;
    return !failed;
  }
  void connect(const tcp::resolver::results_type& found) {
    beast::tcp_stream& lowest = secure_ ? beast::get_lowest_layer(*secure_) : *plain_;
    lowest.async_connect(found, [this](error_code failed, const tcp::endpoint&) {
      if (!goes_on(failed)) return;
      if (secure_) {
        shake_hands();
      } else {
        send(*plain_);
      }
    });
  }
  void shake_hands() {
    secure_->async_handshake(ssl::stream_base::client, [this](error_code failed) {
      if (goes_on(failed)) send(*secure_);
    });
  }
  template <typename Stream>
  void send(Stream& stream) {
    http::async_write(stream, request_, [this, &stream](error_code failed, std::size_t) {
      if (goes_on(failed)) receive(stream);
    });
  }
  template <typename Stream>
  void receive(Stream& stream) {
    http::async_read(stream, buffer_, parser_, [this](error_code failed, std::size_t) {
      if (goes_on(failed)) reply_ = HttpReply{parser_.get().result_int(), std::move(parser_.get().body())};
    });
  }

  const Url& url_;
  const Request& request_;
  tcp::resolver resolver_;
  std::optional<beast::tcp_stream> plain_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> secure_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
  std::optional<HttpReply> reply_;
  error_code failed_;
};

}  // namespace

struct HttpsClient::Service {
  Url url;
  std::optional<ssl::context> tls;
};

HttpsClient::HttpsClient(std::unique_ptr<Service> service) : service_(std::move(service)) {}
HttpsClient::HttpsClient(HttpsClient&&) noexcept = default;
HttpsClient& HttpsClient::operator=(HttpsClient&&) noexcept = default;
HttpsClient::~HttpsClient() = default;

Result<HttpsClient> HttpsClient::open(const std::string& url, const std::string& authorities) {
  const auto parsed = parse_url(url);
  if (!parsed || (!parsed->secure && !is_this_machine(parsed->host))) {
    return Error{"request.url", "'" + url + "' is no address https://HOST[:PORT][/PATH]", "nothing was asked",
                 "name the service as its operators do; http:// is for this machine alone, since a token is sent"};
  }
  auto service = std::make_unique<Service>(Service{*parsed, std::nullopt});
  if (parsed->secure) {
    ssl::context& tls = service->tls.emplace(ssl::context::tls_client);
    error_code failed;
    tls.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1, failed);
    tls.set_verify_mode(ssl::verify_peer);
    if (authorities.empty()) {
      tls.set_default_verify_paths(failed);
    } else {
      tls.load_verify_file(authorities, failed);
    }
    if (failed) {
      return Error{"request.tls",
                   "the certificates of the authorities" + (authorities.empty() ? "" : " in " + authorities) +
                       " cannot be used: " + failed.message(),
                   "nothing was asked", "name a PEM file with --authorities, or install ca-certificates"};
    }
  }
  return HttpsClient(std::move(service));
}

Result<HttpReply> HttpsClient::call(const HttpCall& call, std::chrono::milliseconds patience,
                                    const std::stop_token& stop) const {
  Request request{http::string_to_verb(call.method), service_->url.path + call.path, 11};
  request.set(http::field::host, service_->url.authority());
  request.set(http::field::user_agent, "peaknet-feed");
  request.set(http::field::accept, "application/json");
  request.set(http::field::connection, "close");
  if (!call.token.empty()) request.set(http::field::authorization, "Bearer " + call.token);
  if (!call.body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = call.body;
  request.prepare_payload();

  asio::io_context context(1);
  Exchange exchange(context, service_->url, service_->tls ? &*service_->tls : nullptr, request);
  exchange.start();
  {
    const std::stop_callback wake(stop, [&] { context.stop(); });
    context.run_for(patience);
  }
  if (exchange.reply()) return std::move(*exchange.reply());
  const std::string why = exchange.failed()       ? exchange.failed().message()
                          : stop.stop_requested() ? std::string("it was asked to stop meanwhile")
                                                  : "no answer within " + std::to_string(patience.count()) + " ms";
  return Error{"request.unreachable",
               call.method + " " + call.path + " at " + service_->url.authority() + " failed: " + why,
               "what the service made of it is not known", "is the address right, and reachable from this node?"};
}

}  // namespace peaknet::feed
