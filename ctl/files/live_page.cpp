#include "ctl/files/live_page.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <optional>
#include <ostream>
#include <thread>

#include "base/program.hpp"
#include "base/random_number.hpp"
#include "base/small_file.hpp"
#include "base/text.hpp"
#include "control/protocol.hpp"
#include "ctl/document_output.hpp"
#include "ctl/files/node_watch.hpp"
#include "ctl/files/nodes_sampler.hpp"
#include "ctl/files/openapi.hpp"
#include "ctl/files/page_html.hpp"
#include "ctl/reach.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kEvery = 500ms;
constexpr std::size_t kShortestToken = 16;
constexpr std::string_view kApi = "/api/v1/";
constexpr const char* kJson = "application/json";

HttpResponse ready(std::shared_ptr<const std::string> body, const char* type) {
  HttpResponse response;
  response.type = type;
  response.body = std::move(body);
  return response;
}

HttpResponse refusal(int status, const std::string& id, const std::string& what) {
  const Error error{id, what, "", "GET /api/v1/openapi.json has all paths"};
  return HttpResponse::of(status, kJson, control::to_text(control::error_document(error)));
}

std::string fresh_nonce() {
  std::array<char, 40> text{};
  for (std::size_t at = 0; at < 32; at += 16)
    std::snprintf(text.data() + at, text.size() - at, "%016llx", static_cast<unsigned long long>(random_number()));
  return text.data();
}

// Its own script and style alone, by a nonce that is another each time; nothing from anywhere else.
HttpResponse page() {
  const std::string nonce = fresh_nonce();
  const std::string mark = "PAGE_NONCE";
  std::string html = kPageHtml;
  for (std::size_t at = html.find(mark); at != std::string::npos; at = html.find(mark, at)) {
    html.replace(at, mark.size(), nonce);
  }
  HttpResponse response = HttpResponse::of(200, "text/html; charset=utf-8", std::move(html));
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce +
                                    "'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action "
                                    "'none'; frame-ancestors 'none'");
  return response;
}

// As long for a wrong text as for the right one.
bool same(std::string_view given, std::string_view wanted) {
  unsigned different = given.size() != wanted.size() ? 1U : 0U;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    different |= static_cast<unsigned char>(wanted[i]) ^ static_cast<unsigned char>(i < given.size() ? given[i] : 0);
  return different == 0;
}

Result<std::string> token_of(const std::string& path) {
  if (path.empty()) return std::string{};
  constexpr std::uint64_t kMost = 4096;
  const SmallFile file = read_small_file(path, kMost);
  if (!file.problem.empty())
    return Error{"page.token", path + " cannot be read: " + file.problem, "nothing was opened",
                 "openssl rand -hex 24 > FILE; chmod 600 FILE"};
  const std::string token = file.text.substr(0, file.text.find('\n'));
  const bool plain =
      token.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == std::string::npos;
  if (token.size() >= kShortestToken && plain) return token;
  return Error{"page.token",
               path + " has no secret in its first line: " + std::to_string(kShortestToken) +
                   " letters, digits, - or _ at least",
               "nothing was opened", "openssl rand -hex 24 > " + path + "; chmod 600 " + path};
}

// Looks twice a second, and gives what is seen to who asks and to who listens.
class Sampling {
 public:
  using Look = std::function<PageSample()>;
  Sampling(Look look, PageAnswers& answers, HttpServer& server)
      : look_(std::move(look)), answers_(answers), server_(server) {}

  void operator()(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any asked;
    std::unique_lock lock(mutex);
    do {
      PageSample sample = look_();
      const auto event = sample.event;
      answers_.set(std::move(sample));
      server_.push(event);
    } while (!asked.wait_for(lock, stop, kEvery, [&] { return stop.stop_requested(); }));
  }

 private:
  Look look_;
  PageAnswers& answers_;
  HttpServer& server_;
};

// A page that may be opened: its secret, and where it listens.
struct Opening {
  std::string token;
  HttpServer server;
};
Result<Opening> open_page(const Options& options) {
  auto token = token_of(options.token_file);
  if (!token) return token.error();
  auto server = HttpServer::listen(options.listen);
  if (!server) return server.error();
  return Opening{std::move(*token), std::move(*server)};
}

void say_address(const Options& options, const Opening& opened, std::ostream& out) {
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  out << "http://" << host << ":" << opened.server.port() << "/" << (opened.token.empty() ? "" : "?token=...")
      << std::endl;
}

}  // namespace

void PageAnswers::set(PageSample sample) {
  auto fresh = std::make_shared<const PageSample>(std::move(sample));
  const std::lock_guard guard(mutex_);
  sample_.swap(fresh);
}

HttpResponse PageAnswers::answer(const HttpRequest& request) const {
  HttpResponse response = knows_the_token(request)
                              ? open(request)
                              : refusal(401, "page.token", "this page is for who knows its secret: ?token=...");
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  response.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  return response;
}

bool PageAnswers::knows_the_token(const HttpRequest& request) const {
  if (token_.empty()) return true;
  const std::string_view query = request.query, bearer = "Bearer ", parameter = "token=";
  if (request.authorization.starts_with(bearer))
    return same(std::string_view(request.authorization).substr(bearer.size()), token_);
  return query.starts_with(parameter) && same(query.substr(parameter.size()), token_);
}

HttpResponse PageAnswers::open(const HttpRequest& request) const {
  const auto sample = [&] {
    const std::lock_guard guard(mutex_);
    return sample_;
  }();
  if (request.path == "/") return page();
  if (request.path == "/metrics" && sample->metrics)
    return ready(sample->metrics, "text/plain; version=0.0.4; charset=utf-8");
  if (request.path == "/events") {
    HttpResponse response = ready(sample->event, "text/event-stream");
    response.stream = true;
    return response;
  }
  if (request.path.starts_with(kApi)) return of_programs(request.path.substr(kApi.size()), *sample);
  return refusal(404, "page.no-such-path", "there is nothing at " + request.path);
}

HttpResponse PageAnswers::hit_picture(const std::string& name) const {
  const auto id = number_in<std::uint64_t>(name);
  const auto png = name == "latest" ? reel_.latest() : id ? reel_.picture(*id) : nullptr;
  return png ? ready(png, "image/png") : refusal(404, "page.no-such-hit", "that hit is not among the last ones");
}

// KIND/ID, or KIND/latest.
HttpResponse PageAnswers::sum_picture(const std::string& name) const {
  const std::string kind = name.substr(0, name.find('/'));
  const std::string which = name.substr(std::min(name.size(), kind.size() + 1));
  const auto id = which == "latest" ? std::optional<std::uint64_t>(0) : number_in<std::uint64_t>(which);
  const auto png = id && (*id != 0 || which == "latest") ? sums_.picture(kind, *id) : nullptr;
  return png ? ready(png, "image/png") : refusal(404, "page.no-such-sum", "there is no such picture, or a newer one");
}

HttpResponse PageAnswers::of_programs(const std::string& path, const PageSample& sample) const {
  if (path == "openapi.json") return HttpResponse::of(200, kJson, openapi_document(scope_).dump(2));
  if (path == "hits")
    return HttpResponse::of(200, kJson, json{{"schema", "peaknet.hits/1"}, {"hits", reel_.hits()}}.dump());
  if (path == "sums")
    return HttpResponse::of(200, kJson, json{{"schema", "peaknet.sums/1"}, {"sums", sums_.about()}}.dump());
  if (path == "peakogram") {
    const auto peakogram = sums_.peakogram();
    return peakogram ? ready(peakogram, kJson)
                     : refusal(503, "page.no-sums", "the writers have put down no sums of this run (output.sums)");
  }
  if (path.ends_with(".png")) {
    const std::string name = path.substr(0, path.size() - 4);
    if (name.starts_with("hits/")) return hit_picture(name.substr(5));
    if (name.starts_with("sums/")) return sum_picture(name.substr(5));
  }
  for (const ApiDocument& document : kApiDocuments) {
    if (path != document.name || !has_document(scope_, document)) continue;
    if (const auto found = sample.documents.find(path); found != sample.documents.end())
      return ready(found->second, kJson);
    HttpResponse response = ready(sample.trouble, kJson);
    response.status = 503;
    return response;
  }
  return refusal(404, "page.no-such-path", "there is nothing at /api/v1/" + path);
}

ExitCode live_page(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  auto opened = open_page(options);
  if (!opened) return show_error(opened.error(), options.json, out, err);
  continue_as_service();
  StopSignal signals;
  const PictureSettings settings = picture_settings(options, target);
  if (!settings.remark.empty()) err << "warning: " << settings.remark << '\n';
  HitReel reel(target.instance, settings);
  SumPictures sums(target.instance, settings);
  PageAnswers answers(reel, sums, opened->token);
  const auto minimum = settings.remark.empty() ? std::optional(settings.config.peaks.min_num_peak) : std::nullopt;
  const auto look = [&, sampler = PageSampler(target.instance, minimum)]() mutable {
    return sampler.look(reel.hits(), sums.about());
  };
  const std::jthread sampling(Sampling(look, answers, opened->server));
  const std::jthread following([&](const std::stop_token& stop) { reel.follow(stop); });
  const std::jthread summing([&](const std::stop_token& stop) { sums.follow(stop); });
  say_address(options, *opened, out);
  opened->server.serve(signals, [&](const HttpRequest& request) { return answers.answer(request); });
  return ExitCode::ok;
}

ExitCode live_page_of_nodes(const Options& options, std::ostream& out, std::ostream& err) {
  const auto targets = find_hosts(options);
  if (!targets) return show_error(targets.error(), options.json, out, err);
  std::optional<std::uint32_t> minimum;
  if (!options.config.empty()) {
    if (const auto config = config::load(options.config, {})) minimum = config->peaks.min_num_peak;
  }
  auto opened = open_page(options);
  if (!opened) return show_error(opened.error(), options.json, out, err);
  continue_as_service();
  StopSignal signals;
  const auto patience = options.timeout.value_or(2s);
  NodeWatch watch(targets->hosts, [&](const std::string& host, const std::string& method, const json& params) {
    return ask(targets->of(host), method, params, patience);
  });
  const HitReel no_reel("", {});  // pictures are in the memory of the nodes: each has a page of its own
  const SumPictures no_sums("", {});
  PageAnswers answers(no_reel, no_sums, opened->token, PageScope::nodes);
  const auto look = [&, sampler = NodesSampler(minimum)]() mutable { return sampler.look(watch.answers()); };
  const std::jthread sampling(Sampling(look, answers, opened->server));
  const std::jthread watching([&](const std::stop_token& stop) { watch.follow(stop); });
  say_address(options, *opened, out);
  opened->server.serve(signals, [&](const HttpRequest& request) { return answers.answer(request); });
  return ExitCode::ok;
}

}  // namespace peaknet::ctl
