// peaknet-feed request: a stream on request, from posting the transfer to giving it back.
//
// While frames come in a thread of its own looks at the transfer every few seconds. When it is over, what the cache
// still holds is taken until nothing has come for a while. Whatever ends this, the transfer is cancelled last: it would
// hold a node of the site for nobody.

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "base/fatal.hpp"
#include "base/log_line.hpp"
#include "base/small_file.hpp"
#include "feed/modes.hpp"
#include "feed/transfer_service.hpp"

namespace peaknet::feed {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 2s;   // how often at a transfer
constexpr auto kQuiet = 5s;  // without a message, after its end: the cache is empty
constexpr std::uint64_t kLargestFile = 1 << 20;

// False: it was stopped meanwhile.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

Result<std::string> read_request(const std::string& path) {
  const SmallFile file = read_small_file(path, kLargestFile);
  if (!file.problem.empty())
    return Error{"request.file", "cannot read " + path + ": " + file.problem, "nothing was asked",
                 "name a file that this user may read"};
  return transfer_body(file.text, path);
}

Ending ending_of(Error error) {
  const bool ours = error.id == "request.file" || error.id == "request.url" || error.id == "request.tls" ||
                    error.id == "request.token";
  return {std::move(error), ours ? kExitConfig : kExitUnavailable};
}

// One transfer of a service, from its making on.
class RequestedStream {
 public:
  RequestedStream(const TransferService& service, std::string id) : service_(service), id_(std::move(id)) {}

  // Waits for the stream; nothing: it was stopped.
  Result<std::optional<std::string>> address(std::chrono::nanoseconds patience, const std::stop_token& stop) {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (; !stop.stop_requested(); pause(kLook, stop)) {
      const auto transfer = look(stop);
      if (stop.stop_requested()) break;
      if (!transfer) return transfer.error();
      if (*transfer && (*transfer)->address) return (*transfer)->address;
      if (*transfer && (*transfer)->over())
        return Error{"request.ended", "transfer " + id_ + " is " + (*transfer)->state + " and has sent nothing",
                     "no frame came", "its log at the service says why"};
      if (std::chrono::steady_clock::now() > until)
        return Error{"request.timeout", "transfer " + id_ + " has no stream yet", "no frame came",
                     "wait longer (--wait-stream); is the site's queue full?"};
    }
    return std::optional<std::string>();
  }

  // Until the transfer is over and nothing comes any more: `end` is asked then. An error: why the stream is not whole.
  std::optional<Error> follow(const FeedCounters& tally, std::stop_source& end, const std::stop_token& stop) {
    while (pause(kLook, stop)) {
      const auto transfer = look(stop);
      if (stop.stop_requested()) break;
      if (!transfer) return transfer.error();  // the stream itself may be well: it goes on
      if (!*transfer || !(*transfer)->over()) continue;
      std::uint64_t before = 0;
      do {
        before = tally.counts().messages;
      } while (pause(kQuiet, stop) && tally.counts().messages != before);
      end.request_stop();
      if (!(*transfer)->failed()) break;
      return Error{"request.ended", "transfer " + id_ + " is " + (*transfer)->state + " before its end",
                   "what came before is in the pool", "its log at the service says why"};
    }
    return std::nullopt;
  }

  Status close() const {
    auto cancelled = service_.cancel(id_);
    if (cancelled || cancelled.error().id == "request.refused") return cancelled;
    return Error{"request.left-running", "transfer " + id_ + " could not be cancelled: " + cancelled.error().what,
                 "it may go on at the site", "cancel it there: DELETE /transfers/" + id_};
  }

 private:
  // Nothing: the service could not be asked just now.
  Result<std::optional<Transfer>> look(const std::stop_token& stop) {
    auto transfer = service_.look(id_, stop);
    if (!transfer && transfer.error().id != "request.unreachable") return transfer.error();
    if (!transfer && !unreachable_) log::warn("{}", transfer.error().text());
    unreachable_ = !transfer;
    if (!transfer) return std::optional<Transfer>();
    if (transfer->state != state_) log::info("transfer {} is {}", id_, transfer->state);
    state_ = transfer->state;
    return std::optional<Transfer>(std::move(*transfer));
  }

  const TransferService& service_;
  std::string id_;
  std::string state_;
  bool unreachable_ = false;
};

}  // namespace

std::optional<Ending> request(const RequestArguments& arguments, const config::Config& config,
                              const BadPixels& bad_pixels, Decoders decoders, const Producers& producers,
                              FeedCounters& tally, const Stops& stops) {
  const auto body = read_request(arguments.file);
  if (!body) return ending_of(body.error());
  auto client = HttpsClient::open(arguments.service, arguments.authorities);
  if (!client) return ending_of(client.error());
  const TransferService service(std::move(*client), arguments.token_file);
  const auto id = service.create(*body, stops.stop());
  if (!id) return ending_of(id.error());
  std::fprintf(stderr, "transfer %s\n", id->c_str());

  RequestedStream stream(service, *id);
  std::optional<Ending> ending;
  const auto address = stream.address(seconds(arguments.wait_seconds), stops.stop());
  if (!address) ending = ending_of(address.error());
  if (address && *address) {
    ListenArguments listening = arguments.listen;
    listening.endpoints = {"connect " + **address};
    std::stop_source end;
    const std::stop_callback told(stops.stop(), [&end] { end.request_stop(); });
    std::optional<Error> broken;
    std::jthread follower([&](const std::stop_token& over) { broken = stream.follow(tally, end, over); });
    ending = listen(listening, config, bad_pixels, std::move(decoders), producers, tally, end.get_token(), stops.now());
    follower.request_stop();
    follower.join();
    if (!ending && broken) ending = ending_of(*broken);
  }
  const auto closed = stream.close();
  if (!closed && !ending) ending = ending_of(closed.error());
  if (!closed && ending) log::error("{}", closed.error().text());
  return ending;
}

}  // namespace peaknet::feed
