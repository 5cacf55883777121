#include "ctl/http_server.hpp"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>

#include "base/process_limits.hpp"

namespace peaknet::ctl {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using namespace std::chrono_literals;

constexpr auto kPatienceForAnswer = 10s;
constexpr auto kRetry = 100ms;
constexpr std::uint32_t kLongestHead = 8192;
constexpr int kStreamBuffer = 1 << 18;  // of the kernel, for a peer that does not read

using Answer = http::response<http::span_body<const char>>;

Result<tcp::endpoint> parse_address(const std::string& text) {
  const Error wrong{"http.not-loopback",
                    "'" + text + "' is no address 127.0.0.1:PORT or [::1]:PORT: what is served has no password",
                    "nothing was opened", "127.0.0.1:9290; for another machine use ssh -L or a proxy (docs/page.md)"};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return wrong;
  const std::string host = text.substr(0, colon);
  std::uint16_t port = 0;
  const char* const last = text.data() + text.size();
  const auto [end, failed] = std::from_chars(text.data() + colon + 1, last, port);
  if (failed != std::errc{} || end != last) return wrong;
  if (host == "127.0.0.1") return tcp::endpoint(asio::ip::address_v4::loopback(), port);
  if (host == "[::1]") return tcp::endpoint(asio::ip::address_v6::loopback(), port);
  return wrong;
}

// Without a Host (HTTP/1.0) it is no browser that asks.
bool names_this_machine(beast::string_view host) {
  if (host.empty()) return true;
  for (const beast::string_view name : {"127.0.0.1", "localhost", "[::1]"}) {
    if (host.size() < name.size() || !beast::iequals(host.substr(0, name.size()), name)) continue;
    const auto rest = host.substr(name.size());
    if (rest.empty() || (rest[0] == ':' && rest.find_first_not_of("0123456789", 1) == beast::string_view::npos))
      return true;
  }
  return false;
}

std::string text_of(beast::string_view view) { return {view.data(), view.size()}; }

}  // namespace

// What all connections share. Used by the serving thread alone, but for post().
class HttpServer::Hub {
 public:
  explicit Hub(std::chrono::milliseconds head) : head_(head), acceptor_(io_), retry_(io_), signals_(io_) {}

  error_code open(const tcp::endpoint& endpoint) {
    error_code failed;
    acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(tcp::acceptor::max_listen_connections, failed);
    if (!failed) port_ = acceptor_.local_endpoint(failed).port();
    return failed;
  }

  void serve(StopSignal& signals, const HttpHandler& handler) {
    handler_ = &handler;
    signals_.assign(::dup(signals.fd()));
    watch(signals);
    accept();
    io_.run();
    sessions_.clear();
    handler_ = nullptr;
  }

  std::uint16_t port() const { return port_; }
  std::chrono::milliseconds patience_for_head() const { return head_; }
  asio::io_context& io() { return io_; }
  const HttpHandler& handler() const { return *handler_; }
  const std::set<std::shared_ptr<Session>>& sessions() const { return sessions_; }

  bool begin_stream() {
    if (streams_ >= kMostStreams) return false;
    ++streams_;
    return true;
  }
  void ended(const std::shared_ptr<Session>& session, bool was_stream) {
    if (was_stream) --streams_;
    sessions_.erase(session);
    accept();
  }

 private:
  void watch(StopSignal& signals) {
    signals_.async_wait(asio::posix::stream_descriptor::wait_read, [this, &signals](error_code failed) {
      if (failed || signals.poll()) return io_.stop();
      watch(signals);
    });
  }
  void accept();
  void begin(tcp::socket socket);

  std::chrono::milliseconds head_;
  std::uint64_t begun_ = 0;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::posix::stream_descriptor signals_;
  const HttpHandler* handler_ = nullptr;
  std::set<std::shared_ptr<Session>> sessions_;
  std::size_t streams_ = 0;
  bool accepting_ = false;
  std::uint16_t port_ = 0;
};

// One connection, from its accept to its end. The hub holds it until end().
class HttpServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Hub& hub, tcp::socket socket, std::uint64_t number)
      : hub_(hub), number_(number), stream_(std::move(socket)), buffer_(kLongestHead) {
    parser_.header_limit(kLongestHead);
  }

  void begin() {
    stream_.expires_after(hub_.patience_for_head());
    http::async_read_header(stream_, buffer_, parser_,
                            [self = shared_from_this()](error_code failed, std::size_t) { self->on_head(failed); });
  }

  bool is_at_its_head() const { return at_head_; }
  std::uint64_t number() const { return number_; }
  void end() {
    if (ended_) return;
    ended_ = true;
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.close();
    hub_.ended(shared_from_this(), std::exchange(is_stream_, false));
  }

  void push(const std::shared_ptr<const std::string>& event) {
    if (is_stream_ && !writing_) send(event);
  }

 private:
  void on_head(error_code failed) {
    if (ended_) return;
    at_head_ = false;
    const bool spoke = failed.category() == http::make_error_code(http::error::end_of_stream).category() &&
                       failed != http::error::end_of_stream && failed != http::error::partial_message;
    if (failed) return spoke ? answer(HttpResponse::of(400, HttpResponse{}.type, "no HTTP request\n"), false) : end();
    const auto& head = parser_.get();
    const bool body = head.method() != http::verb::head;
    if (body && head.method() != http::verb::get) {
      HttpResponse no = HttpResponse::of(405, HttpResponse{}.type, "GET or HEAD\n");
      no.headers.emplace_back("Allow", "GET, HEAD");
      return answer(std::move(no), true);
    }
    if (head.count(http::field::host) > 1)
      return answer(HttpResponse::of(400, HttpResponse{}.type, "one Host is enough\n"), body);
    if (!names_this_machine(head[http::field::host]))
      return answer(HttpResponse::of(421, HttpResponse{}.type, "this is served to its own machine\n"), body);
    const std::string target = text_of(head.target());
    const std::size_t question = target.find('?');
    HttpRequest request{target.substr(0, question), question == std::string::npos ? "" : target.substr(question + 1),
                        text_of(head[http::field::authorization])};
    HttpResponse response = hub_.handler()(request);
    if (response.stream && body && !hub_.begin_stream())
      return answer(HttpResponse::of(503, HttpResponse{}.type, "too many pages are open\n"), body);
    is_stream_ = response.stream && body;
    answer(std::move(response), body);
  }

  void answer(HttpResponse response, bool body) {
    body_ = response.body ? response.body : std::make_shared<const std::string>();
    head_ = Answer(static_cast<http::status>(response.status), 11);
    head_.set(http::field::content_type, response.type);
    for (const auto& [name, value] : response.headers) head_.set(name, value);
    head_.keep_alive(false);
    if (!response.stream) head_.content_length(body_->size());
    if (body) head_.body() = {body_->data(), body_->size()};
    serializer_.emplace(head_);
    stream_.expires_after(kPatienceForAnswer);
    writing_ = true;
    const auto then = [self = shared_from_this()](error_code failed, std::size_t) { self->on_answered(failed); };
    if (body) return http::async_write(stream_, *serializer_, then);
    http::async_write_header(stream_, *serializer_, then);
  }

  void on_answered(error_code failed) {
    writing_ = false;
    // A body without a length ends with its connection, and Beast says so as an end of stream: a stream's begins here.
    if (!is_stream_ || (failed && failed != http::error::end_of_stream)) return end();
    error_code ignored;
    stream_.socket().set_option(asio::socket_base::send_buffer_size(kStreamBuffer), ignored);
    stream_.expires_never();
    listen_for_its_end();
  }

  // A stream's peer has nothing more to say; what comes is that it has gone.
  void listen_for_its_end() {
    stream_.socket().async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code) { self->end(); });
  }

  void send(std::shared_ptr<const std::string> event) {
    body_ = std::move(event);
    writing_ = true;
    stream_.expires_after(kPatienceForAnswer);
    asio::async_write(stream_, asio::buffer(*body_), [self = shared_from_this()](error_code failed, std::size_t) {
      self->writing_ = false;
      if (failed) return self->end();
      self->stream_.expires_never();
    });
  }

  Hub& hub_;
  std::uint64_t number_;  // younger ones have larger ones
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request_parser<http::empty_body> parser_;
  Answer head_;
  std::optional<http::response_serializer<http::span_body<const char>>> serializer_;
  std::shared_ptr<const std::string> body_;  // what is being written
  bool at_head_ = true, is_stream_ = false, writing_ = false, ended_ = false;
};

// One more than there may be: for it another one goes that has said too little for too long. Where all are being
// answered it stays, and the next one waits.
void HttpServer::Hub::begin(tcp::socket socket) {
  const auto session = std::make_shared<Session>(*this, std::move(socket), ++begun_);
  sessions_.insert(session);
  session->begin();
  if (sessions_.size() <= kMostConnections) return;
  std::shared_ptr<Session> oldest;
  for (const auto& other : sessions_) {
    if (other != session && other->is_at_its_head() && (!oldest || other->number() < oldest->number())) oldest = other;
  }
  if (oldest) oldest->end();
}

void HttpServer::Hub::accept() {
  if (accepting_ || sessions_.size() > kMostConnections) return;
  accepting_ = true;
  acceptor_.async_accept([this](error_code failed, tcp::socket socket) {
    accepting_ = false;
    if (!failed) {
      begin(std::move(socket));
      return accept();
    }
    // Out of descriptors, most likely: others have to end first.
    retry_.expires_after(kRetry);
    retry_.async_wait([this](error_code aborted) {
      if (!aborted) accept();
    });
  });
}

Result<HttpServer> HttpServer::listen(const std::string& address, std::chrono::milliseconds head) {
  const auto wanted = parse_address(address);
  if (!wanted) return wanted.error();
  auto hub = std::make_unique<Hub>(head);
  if (const auto failed = hub->open(*wanted)) {
    if (failed.value() == EMFILE || failed.value() == ENFILE) return no_descriptors(failed.value());
    return Error{"http.cannot-listen", "cannot listen at " + address + ": " + failed.message(), "nothing was opened",
                 "choose another port"};
  }
  return HttpServer(std::move(hub));
}

HttpServer::HttpServer(std::unique_ptr<Hub> hub) : hub_(std::move(hub)) {}
HttpServer::HttpServer(HttpServer&& other) noexcept = default;
HttpServer& HttpServer::operator=(HttpServer&& other) noexcept = default;
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const { return hub_->port(); }

void HttpServer::serve(StopSignal& signals, const HttpHandler& handler) { hub_->serve(signals, handler); }

void HttpServer::push(std::shared_ptr<const std::string> event) {
  asio::post(hub_->io(), [hub = hub_.get(), event = std::move(event)] {
    for (const auto& session : std::vector(hub->sessions().begin(), hub->sessions().end())) session->push(event);
  });
}

}  // namespace peaknet::ctl
